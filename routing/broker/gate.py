"""Gate: which queues are paused, for all hands of a relay, and whether one of them is in the midst of publishing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from routing.ledger import pauses


class Gate:
    """``follow`` belongs to one thread, about every second; ``passing`` to any."""

    def __init__(self) -> None:
        self._closed: frozenset[str] | None = None
        """None until the ledger has said; nothing is published before."""
        self._passing: dict[int, str] = {}
        """By thread, the queue that it publishes for."""
        self._process_id: int | None = None
        self._confirmed: frozenset[str] = frozenset()

    def is_open(self, queue: str) -> bool:
        return self._closed is not None and queue not in self._closed

    @contextmanager
    def passing(self, queue: str) -> Iterator[bool]:
        """Whether the queue may be published for, within."""
        thread = threading.get_ident()
        # First the mark and then the look, so that either we see the pause or whoever confirms it sees us.
        self._passing[thread] = queue
        try:
            yield self.is_open(queue)
        finally:
            del self._passing[thread]

    def follow(self, process_id: int | None = None) -> None:
        """Do as the ledger says, and confirm it in the row of this process. Raises DatabaseError, InterfaceError."""
        if process_id != self._process_id:
            self._process_id, self._confirmed = process_id, frozenset()
        asked = pauses.names()
        # No moment at which the row promises what is no longer kept: first out of the row, then open.
        self._confirm(self._confirmed & asked)
        self._closed = asked
        self._confirm(asked.difference(list(self._passing.values())))

    def _confirm(self, kept: frozenset[str]) -> None:
        if kept != self._confirmed and self._process_id is not None:
            pauses.confirm(self._process_id, kept)
            self._confirmed = kept
