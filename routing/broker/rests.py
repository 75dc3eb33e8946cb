"""Rests: how long a relay's hand waits after a round, so that what comes meanwhile goes out together.

A round costs about the same for one message as for ten. Where few come, nobody would come meanwhile, and a rest only
keeps the next caller waiting; where many come, a round for each would take the processor time that workers need.
"""

import math
import time
from collections.abc import Callable

LONGEST_REST = 0.01
"""Seconds."""
FEW, MANY = 100.0, 300.0
"""Messages a second. Up to the first it does not rest, from the second on as long as it may, and in between in part."""
REMEMBERED_FOR = 0.5
"""Seconds, the time constant of the rate."""


class Rests:
    """One hand's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = 0.0
        self._at = clock()

    def after(self, count: int) -> float:
        """Seconds to rest after a round of ``count`` messages that has just ended."""
        now = self._clock()
        self._rate = self._rate * math.exp((self._at - now) / REMEMBERED_FOR) + count / REMEMBERED_FOR
        self._at = now
        return LONGEST_REST * min(max((self._rate - FEW) / (MANY - FEW), 0.0), 1.0)
