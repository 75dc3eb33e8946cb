"""Strays: messages that this worker owns and no process of it is at work on, which would wait for ever.

None should be left. Where one is, whatever went wrong, it is run again rather than forgotten.
"""

import logging
import time

from routing.ledger import database, reschedule, wake
from routing.ledger.settle import Fence
from routing.worker import hands
from routing.worker.request import SETTLEMENTS

logger = logging.getLogger(__name__)

LOOK_EVERY = 60.0
LOOK_SHARE = 20
"""A look reads every message in flight: it may take one part in this many of our time."""
ERROR = "Its run ended without an outcome, and no process of its worker is at work on it."


class Strays:
    """``look`` about as often as the worker beats. What was found by two looks in a row is given back."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._suspects: set[Fence] = set()
        self._due_at = time.monotonic() + LOOK_EVERY

    def look(self) -> int:
        """How many were given back. Raises DatabaseError or InterfaceError where the database is away."""
        began = time.monotonic()
        if began < self._due_at:
            return 0
        found = self._found()
        again = [fence for fence in found & self._suspects if reschedule.release(fence, error=ERROR)]
        self._suspects = found
        now = time.monotonic()
        self._due_at = now + max(LOOK_EVERY, LOOK_SHARE * (now - began))
        for fence in again:
            extra = {"task_id": fence.task_id}
            logger.error("%s was in no process of this worker, and is published again", fence.task_id, extra=extra)
        if again:
            wake.wake()
        return len(again)

    def _found(self) -> set[Fence]:
        # First the rows: a process that is through with a task has settled it before it says so.
        owned = database.rows("SELECT id, epoch, pid FROM routing_message WHERE owner = %s", [self._owner])
        return {
            Fence(task_id=row["id"], epoch=row["epoch"], owner=self._owner, pid=row["pid"])
            for row in owned
            if not hands.holds(row["id"], row["pid"]) and row["id"] not in SETTLEMENTS.pending
        }
