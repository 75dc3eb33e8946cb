"""What the ledger knows of a task that is in flight."""

import json
from typing import Any

from django.db.models import QuerySet

from routing.ledger import database
from routing.ledger.enqueue import REPLACED
from routing.ledger.tables import Message


def messages() -> "QuerySet[Message]":
    """All that is in flight, read where it is written."""
    return Message.objects.using(database.using())


def in_flight(task_id: str) -> Message | None:
    return messages().filter(pk=task_id.replace("\0", "")).first()


def report(task_id: str, *, state: str, progress: str | None, owner: int | None = None) -> bool:
    """Show a running task's progress. False if it is not in flight, or not this owner's.

    What waits for the end of the chain that replaced it goes on waiting.
    """
    running = messages().filter(pk=task_id).exclude(state=REPLACED)
    if owner is not None:
        running = running.filter(owner=owner)
    return bool(running.update(state=state, progress=progress))


def arguments(body: str) -> tuple[str, str]:
    """Positional and named arguments of a body, each as JSON of its own."""
    args, kwargs, *_ = json.loads(body)
    return json.dumps(args), json.dumps(kwargs)


def embedded(body: str) -> dict[str, Any]:
    """Callbacks, errbacks, chain and chord of a body."""
    _, _, embed = json.loads(body)
    return dict(embed or {})
