"""Windows: how many messages a queue may hold, so that a backlog stays in the ledger and the broker small.

RabbitMQ's count is looked at now and then, and for nothing else; in between, what was published since is added up.
"""

import time
from dataclasses import dataclass

from routing.broker.publisher import Publisher

LOOK_EVERY = 1.0
LOOK_AGAIN_AFTER = 0.1
"""Seconds, where there was no room."""


@dataclass
class _Room:
    left: int
    looked_at: float
    exists: bool = True

    def is_old(self, now: float) -> bool:
        is_full = self.exists and self.left <= 0
        return now - self.looked_at > (LOOK_AGAIN_AFTER if is_full else LOOK_EVERY)


class Windows:
    """``beside``: what it knows, it knows together with those."""

    def __init__(self, publisher: Publisher, size: int, *, beside: "Windows | None" = None) -> None:
        self._publisher = publisher
        self._size = size
        self._rooms: dict[str, _Room] = {} if beside is None else beside._rooms

    def room(self, queue: str) -> int | None:
        """How many more messages the queue may get; None if there turns out to be no such queue. Raises BrokerTrouble.

        After None it is 0 until the next look, so that no more than a batch a second tries in vain.
        """
        room, now = self._rooms.get(queue), time.monotonic()
        if room is None or room.is_old(now):
            ready = self._publisher.ready(queue)
            self._rooms[queue] = room = _Room(0 if ready is None else self._size - ready, now, ready is not None)
            if ready is None:
                return None
        return max(room.left, 0)

    def fill(self, queue: str, count: int) -> None:
        room = self._rooms.get(queue)
        if room is not None:
            room.left -= count

    def forget(self) -> None:
        """Another broker, or the same one after an interruption."""
        self._rooms.clear()
