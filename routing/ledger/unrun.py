"""Unrun: a task that nobody is to run comes to its outcome, with all that hangs on it."""

import logging
from typing import Any

from celery import current_app
from django.db import DatabaseError, InterfaceError

from routing.ledger.tables import Message

logger = logging.getLogger(__name__)


def settle(message: Message, **outcome: Any) -> bool:
    """False if its row has changed since it was read, or the log tells why it stays as it is.

    ``outcome`` as ``ResultBackend.settle_unrun`` takes it. Raises DatabaseError or InterfaceError.
    """
    try:
        backend: Any = current_app.backend
        return bool(backend.settle_unrun(message, **outcome))
    except (DatabaseError, InterfaceError):
        raise
    except Exception:
        # Whatever is wrong with one task: the others are not to wait for it.
        logger.exception("The outcome %s of %s cannot be recorded; it stays as it is", outcome.get("status"), message)
        return False
