"""One delivery on its way: whatever dies, and whenever, it is sent, or it is known that it may have been.

An e-mail cannot be sent exactly once: between the server's taking it and our writing that down lies a window. It begins
with the commit of SENDING, right before the message's last line goes out, and ends with the commit of SENT. A run that
finds SENDING knows that another died in that window, and the category says what then: send it again, under the same
Message-ID, or ask.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, transaction
from django.utils import timezone

from notifications import loading
from notifications.attempting import UNKNOWN, Try, must_ask
from notifications.tables import Attempt, Delivery
from routing.errors import PermanentError, TransientError
from routing.last_step import LastStep
from routing.ledger import database
from routing.ledger.patience import is_passing, until_reachable

__all__ = ["UNKNOWN", "Refused", "deliver", "hand_over"]

State = Delivery.State
SHORTLY = timedelta(seconds=10)


class Refused(PermanentError):
    """The other side will not take it, now or later."""


def deliver(
    notification: str, position: int, *, task_id: str, worker: str = "", may_wait: bool = True
) -> dict[str, Any]:
    """Send one delivery, unless it is sent or must not be. Safe to call again.

    Without ``may_wait``, as where tasks run in the caller's own process, what has to wait raises Refused.

    Raises TransientError to be called later, NotYet where it is not its turn, and PermanentError where it has failed.
    """
    try:
        found = hand_over(notification, position, task_id=task_id, worker=worker, may_wait=may_wait)
        return until_reachable(found.step) if isinstance(found, LastStep) else found
    except TransientError as error:
        if may_wait:
            raise
        raise Refused(str(error)) from error


def hand_over(
    notification: str, position: int, *, task_id: str, worker: str = "", may_wait: bool = True
) -> dict[str, Any] | LastStep:
    """As ``deliver``, but where it was taken, writing that down is left to the transaction of its task's outcome."""
    try:
        delivery = loading.load(UUID(notification), position)
        _reopen(delivery, task_id)
        if delivery.state != State.PENDING:
            return _ended(delivery)
        if reason := loading.objection(delivery):
            _suppress(delivery, reason)
            return _ended(delivery)
        attempt = Try(delivery, task_id=task_id, worker=worker, may_wait=may_wait)
        verdict = attempt.run()
        if verdict is None:
            return _ended(delivery)
        if verdict.state == State.SENT:
            return LastStep(lambda: _ended(delivery, wait=attempt.end()))
        return _ended(delivery, wait=until_reachable(attempt.end))
    except (DatabaseError, InterfaceError) as error:
        if not is_passing(error) or database.connection().in_atomic_block:
            raise
        database.connection().close()
        raise TransientError(f"The database went away: {error}", retry_after=SHORTLY) from error


def _reopen(delivery: Delivery, task_id: str) -> None:
    """A run died in its window, or a failed delivery's task is replayed."""
    if delivery.state == State.SENDING and delivery.reason != UNKNOWN:
        asks = must_ask(delivery)
        state, reason = (State.SENDING, UNKNOWN) if asks else (State.PENDING, "")
        with transaction.atomic():
            if delivery.change(frm=State.SENDING, attempts=delivery.attempts_made, state=state, reason=reason):
                delivery.attempts.filter(ended_at=None).update(outcome=Attempt.Outcome.UNKNOWN)
    elif delivery.state == State.FAILED and delivery.task_id != task_id:
        delivery.change(frm=State.FAILED, state=State.PENDING, task_id=task_id, reason="", finished_at=None)


def _suppress(delivery: Delivery, reason: str) -> None:
    values: dict[str, Any] = {"state": State.SUPPRESSED, "reason": reason, "finished_at": timezone.now(), "sealed": ""}
    if not delivery.change(frm=State.PENDING, **values):
        delivery.refresh_from_db()


def _ended(delivery: Delivery, *, wait: timedelta | None = None) -> dict[str, Any]:
    """The end of a run, by what the delivery has become: the task's result where nothing more is to be done."""
    if delivery.state == State.FAILED:
        raise Refused(f"{delivery.address_key}: {delivery.answer}")
    if not delivery.is_final and delivery.reason != UNKNOWN:
        raise TransientError(delivery.answer or "Another run of it has begun.", retry_after=wait or SHORTLY)
    told = {"delivery": delivery.pk, "to": delivery.address_key, "state": str(delivery.state)}
    return told | ({"reason": delivery.reason} if delivery.reason else {})
