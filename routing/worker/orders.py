"""Orders: what people ask of this worker through the ledger, which no broadcast could be lost of or come too early for.

Which queues are paused, and which of the tasks that it runs were cancelled and are to be ended.
"""

import logging
from typing import Any

from routing.ledger import pauses, terminations
from routing.ledger.terminations import Termination
from routing.worker import paused

logger = logging.getLogger(__name__)


class Orders:
    """``look`` before the worker takes anything, and then about every second; from one thread."""

    def __init__(self, worker: Any, owner: int) -> None:
        self._worker = worker
        self._owner = owner
        self._paused: frozenset[str] = frozenset()

    def look(self) -> None:
        """Raises DatabaseError or InterfaceError where the database is away; what is known holds on."""
        self._pause(pauses.names())
        for order in terminations.of(self._owner):
            self._in_main_thread("terminate", order)

    def _pause(self, asked: frozenset[str]) -> None:
        if asked == self._paused:
            return
        # No moment at which the row promises what is no longer kept.
        if self._paused - asked:
            pauses.confirm(self._owner, self._paused & asked)
        paused.apply(asked)
        pauses.confirm(self._owner, asked)
        for queue in sorted(asked ^ self._paused):
            logger.info("The queue %s is %s", queue, "paused" if queue in asked else "resumed")
        self._paused = asked
        self._in_main_thread("follow_pauses")

    def _in_main_thread(self, method: str, *arguments: Termination) -> None:
        """Of the consumer, which is not there yet when the worker starts, and takes a moment to come back at times."""
        consumer = getattr(self._worker, "consumer", None)
        if consumer is not None and hasattr(consumer, method):
            consumer.call_soon(getattr(consumer, method), *arguments)
