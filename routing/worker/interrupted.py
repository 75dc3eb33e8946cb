"""Interrupted: what a worker was running when it was stopped is published again, and that run does not count."""

import logging
import time
from collections.abc import Iterator

from routing.ledger import database, reschedule, wake
from routing.ledger.settle import Fence
from routing.worker import hands
from routing.worker.request import SETTLEMENTS

logger = logging.getLogger(__name__)

SETTLED_WITHIN = 3.0
TICK = 0.02
ERROR = "Its worker was stopped while it ran."


def give_back(owner: int) -> int:
    """For the last moment of a worker, when no child is left. How many are published again.

    Raises DatabaseError or InterfaceError where the database is away: then a relay gives out what this worker owned.
    What may not start twice, and did start, is left to that relay, too.
    """
    deadline = time.monotonic() + SETTLED_WITHIN
    while SETTLEMENTS.pending and time.monotonic() < deadline:
        time.sleep(TICK)
    # Fenced by owner, child and epoch: what was settled in the child's last moment is not there any more.
    again = [fence for fence in _interrupted(owner) if reschedule.release(fence, error=ERROR, counted=False)]
    for fence in again:
        extra = {"task_id": fence.task_id}
        logger.warning("%s was interrupted, and is published again", fence.task_id, extra=extra)
    if again:
        wake.wake()
    return len(again)


def _interrupted(owner: int) -> Iterator[Fence]:
    owned = database.rows("SELECT id, epoch, pid, at_most_once FROM routing_message WHERE owner = %s", [owner])
    for row in owned:
        had_begun = hands.step_of(row["pid"]) is not hands.Step.CLAIMING
        if not hands.holds(row["id"], row["pid"]) and not (row["at_most_once"] and had_begun):
            yield Fence(task_id=row["id"], epoch=row["epoch"], owner=owner, pid=row["pid"])
