"""Messages that this worker cannot run: it knows no such task, or cannot read what arrived.

The ledger has the task's message as it was enqueued, so nothing is lost with the copy from the broker.
"""

from datetime import timedelta
from typing import Any

from celery import current_app
from celery.utils.log import get_logger

from routing.ledger import lookup, reschedule, wake
from routing.ledger.patience import until_reachable
from routing.ledger.settle import Fence
from routing.ledger.tables import DeadLetter

logger = get_logger(__name__)

KNOWN_WITHIN = timedelta(minutes=15)
"""A deploy brings the workers that know a new task a little later than those who enqueue it."""
PAUSE = 30.0


def give_back(task_id: str, epoch: int, error: str, *, reason: DeadLetter.Reason) -> None:
    """Have it published anew after a pause; after a quarter of an hour of that, settle it as FAILURE for ``reason``."""
    message = until_reachable(lambda: lookup.in_flight(task_id))
    if message is None or message.epoch != epoch or message.owner is not None:
        return
    if until_reachable(lambda: lookup.unknown_for(task_id)) > KNOWN_WITHIN:
        backend: Any = current_app.backend
        backend.settle_unrun(message, status="FAILURE", reason=reason.value, error=error)
        return
    fence = Fence(task_id=task_id, epoch=epoch)
    until_reachable(lambda: reschedule.release(fence, error=error, delay=PAUSE, is_unknown=True))
    wake.wake()
