"""What was measured, in words as it comes and as one line of JSON in the end."""

import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any


class Sheet:
    def __init__(self) -> None:
        self._figures: dict[str, Any] = {}

    def note(self, name: str, figures: Any) -> None:
        self._figures[name] = figures

    def say(self, words: str = "") -> None:
        sys.stdout.write(f"{words}\n")
        sys.stdout.flush()

    def as_json(self) -> None:
        self.say(json.dumps(self._figures, sort_keys=True))


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
