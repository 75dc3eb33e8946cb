"""Forbidden: what was revoked by Celery's plain ``revoke`` while it ran is not run again, whoever would retry it."""

import logging
from typing import Any

from celery import current_app, states
from django.db import DatabaseError, InterfaceError

from routing.ledger import lookup, terminations
from routing.ledger.terminations import Answer

logger = logging.getLogger(__name__)

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


def _settle(message: Any, by: str) -> bool:
    backend: Any = current_app.backend
    try:
        about = {"by": by, "ran": True}
        return bool(backend.settle_unrun(message, status=states.REVOKED, reason=REASON, error=REASON, about=about))
    except (DatabaseError, InterfaceError):
        raise
    except Exception:
        # Whatever is wrong with one task: the others are not to wait for it.
        logger.exception("Cannot record that %s was revoked; it stays as it is", message)
        return False
