"""That the database is away, as one process knows it: there is no row then to agree by."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from django.utils import timezone

from routing.ledger.alerts import CALM, Cause, Telling, Timing

NAME = "database"


@dataclass
class _Known:
    sentence: str
    began: float
    seen: float
    told: float | None = None


class Away:
    """For each channel, since when it is known and when it was told. ``clock`` is any that only moves forward."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def look(self, channel: str, sentence: str, *, timing: Timing) -> Telling | None:
        """What is to be told now; an empty sentence where the database answers."""
        now = self._clock()
        known = self._known.get(channel)
        if sentence:
            known = self._known.setdefault(channel, _Known(sentence, now, now))
            known.seen = now
            return self._telling(known) if self._is_due(known, timing) else None
        if known is None or now - known.seen < CALM.total_seconds():
            return None
        if known.told is None:
            del self._known[channel]
            return None
        return self._telling(known, ended=True)

    def told(self, channel: str, telling: Telling) -> None:
        if telling.ended:
            del self._known[channel]
        else:
            self._known[channel].told = self._clock()

    def _is_due(self, known: _Known, timing: Timing) -> bool:
        if known.told is not None:
            return self._clock() - known.told >= timing.window.total_seconds()
        return self._clock() - known.began >= timing.after.total_seconds()

    def _telling(self, known: _Known, *, ended: bool = False) -> Telling:
        began_at = timezone.now() - timedelta(seconds=self._clock() - known.began)
        cause = Cause(NAME, known.sentence, began_at, str(uuid4()), told_before=known.told is not None)
        return Telling("", (cause,), ended)
