"""Forbidden: what was revoked by Celery's plain ``revoke`` while it ran is not run again, whoever would retry it."""

from celery import states

from routing.ledger import lookup, terminations, unrun
from routing.ledger.tables import Message
from routing.ledger.terminations import Answer

REASON = "revoked"


def sweep() -> int:
    """Settle those of them that nobody runs any more. Returns how many. Safe to call again."""
    count = 0
    for key, task_id, by in terminations.forbidden():
        message = lookup.in_flight(task_id)
        if message is None:
            terminations.answer(key, Answer.OVER)
        elif message.owner is None and _settle(message, by):
            # A crash before the answer: the next look finds no message.
            terminations.answer(key, Answer.REVOKED)
            count += 1
    return count


def _settle(message: Message, by: str) -> bool:
    about = {"by": by, "ran": True}
    return unrun.settle(message, status=states.REVOKED, reason=REASON, error=REASON, about=about)
