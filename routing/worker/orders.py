"""Orders: what people ask of this worker through the ledger, which no broadcast could be lost of or come too early for.

Which queues are paused, and which of the tasks that it runs were cancelled and are to be ended.
"""

import logging
import os
import time
from contextlib import suppress
from signal import Signals
from typing import Any

from celery.worker.state import requests

from routing.ledger import pauses, terminations
from routing.ledger.terminations import Answer, Termination
from routing.worker import hands, paused

logger = logging.getLogger(__name__)

KILLED_AFTER = 10.0
"""Seconds that a body has to tidy up, once it was told to end."""


class Orders:
    """``look`` before the worker takes anything, and then about every second; from one thread."""

    def __init__(self, worker: Any, owner: int) -> None:
        self._worker = worker
        self._owner = owner
        self._paused: frozenset[str] = frozenset()
        self._asked: dict[int, float] = {}
        """Terminations at work, and since when."""

    def look(self) -> None:
        """Raises DatabaseError or InterfaceError where the database is away; what is known holds on."""
        self._pause(pauses.names())
        for termination in terminations.of(self._owner):
            self._end(termination)

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
        # It is not there yet when the worker starts, and looks by itself whenever it connects.
        consumer = getattr(self._worker, "consumer", None)
        if consumer is not None:
            consumer.call_soon(consumer.follow_pauses)

    def _end(self, asked: Termination) -> None:
        """By hand, and not through the pool: its loop stands still while RabbitMQ is away. It takes the child for lost,
        and finds the task's outcome recorded.
        """
        if asked.pid == os.getpid():
            # Threads cannot be ended, and to end this process would end the others' tasks.
            terminations.answer(asked.id, Answer.UNABLE)
        elif asked.pid is None or not hands.holds(asked.task_id, asked.pid):
            answer = Answer.ENDED if self._asked.pop(asked.id, None) else Answer.OVER
            terminations.answer(asked.id, answer)
        else:
            self._strike(asked, asked.pid)

    def _strike(self, asked: Termination, pid: int) -> None:
        is_first = asked.id not in self._asked
        since = self._asked.setdefault(asked.id, time.monotonic())
        is_late = time.monotonic() - since > KILLED_AFTER
        if not (is_first or is_late):
            return
        name = "KILL" if is_late else asked.signal
        extra = {"task_id": asked.task_id}
        logger.warning("%s was cancelled: its process %d gets SIG%s", asked.task_id, pid, name, extra=extra)
        if is_first:
            self._announce(asked.task_id, f"SIG{name}")
        with suppress(ProcessLookupError):
            os.kill(pid, Signals[f"SIG{name}"])

    def _announce(self, task_id: str, signum: str) -> None:
        """For Flower, and whoever else listens. Its outcome is recorded: nothing here depends on it."""
        consumer = getattr(self._worker, "consumer", None)
        if consumer is not None:
            # Events leave by a connection of the main thread's.
            consumer.call_soon(_send_revoked, task_id, signum)


def _send_revoked(task_id: str, signum: str) -> None:
    if request := requests.get(task_id):
        request.send_event("task-revoked", terminated=True, signum=signum, expired=False)
