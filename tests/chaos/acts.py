"""What all attacks have in common: a kind is performed on a target, as decided, and it tells what it did."""

import time
from collections.abc import Callable

from tests.chaos.plan import Decision, Target

Act = Callable[[Target, Decision], str]
"""Returns, once the target works again or will by itself, what was done. Raises Missed."""


class Missed(Exception):
    """There was nobody to attack."""


def within(span: tuple[float, float], share: float) -> float:
    return span[0] + (span[1] - span[0]) * share


def since(moment: float) -> str:
    return f"{time.monotonic() - moment:.1f} s"
