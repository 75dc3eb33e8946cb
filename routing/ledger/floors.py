"""Floors: where in each queue to begin looking for what is due, if a look from the beginning takes long.

While a transaction is open, PostgreSQL clears away nothing that was deleted since it began, and a look at a queue
passes over all of that: 100,000 publications take it 10 to 100 ms. From a floor on it is quick. What appears below it
(its commit came more than LATE after it was written, or it was given an older time) is found by a look in full, which
is taken for a small share of the time.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

LATE = 1.0
"""Seconds between the writing of a row and its commit, with most transactions."""
SLOW = 0.005
"""Seconds above which a look in full is no longer taken every time."""
SHARE = 20
"""Looks in full may take one part in this many of the time."""


@dataclass
class _Floor:
    at: str | None = None
    """As the database tells it: times of one session, which come back to it."""
    looked_at: float = 0.0
    seconds: float = 0.0

    @property
    def is_needed(self) -> bool:
        return self.seconds > SLOW


class Floors:
    """May be shared by threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._floors: dict[str, _Floor] = {}

    def since(self, queue: str) -> str | None:
        """The due time to begin at; None for a look in full."""
        floor = self._floors.get(queue)
        return floor.at if floor and floor.is_needed else None

    def looked(self, queue: str, *, since: str | None, empty_until: str, seconds: float) -> None:
        """A look that began at ``since`` found nothing due before ``empty_until``."""
        with self._lock:
            floor = self._floors.setdefault(queue, _Floor())
            if since is None:
                floor.seconds, floor.looked_at = seconds, self._clock()
            # Else a look in full has found meanwhile that it must be lower.
            if since is None or since == floor.at:
                floor.at = empty_until

    def overdue(self) -> list[str]:
        """The queues for which it is time for a look in full."""
        now = self._clock()
        with self._lock:
            return [
                queue
                for queue, floor in self._floors.items()
                if floor.is_needed and now - floor.looked_at > SHARE * floor.seconds
            ]
