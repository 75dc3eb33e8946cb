"""What the ledger knows of a task that is in flight."""

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from routing.ledger import database
from routing.ledger.enqueue import REPLACED
from routing.ledger.tables import Message

IN_MEMORY = 50
"""Rows whose bodies are in memory together."""


def messages() -> "QuerySet[Message]":
    """All that is in flight, read where it is written."""
    return Message.objects.using(database.using())


def in_flight(task_id: str) -> Message | None:
    return messages().filter(pk=task_id.replace("\0", "")).first()


def unknown_for(task_id: str) -> timedelta:
    """How long workers that cannot run it have had it, by the database's clock."""
    since = messages().filter(pk=task_id, unknown_since__isnull=False).values_list("unknown_since", Now())
    return next((now - first for first, now in since), timedelta())


def bodies(task_ids: Iterable[str]) -> Iterator[str]:
    """Of those that are in flight, a few at a time in memory."""
    ids = list(task_ids)
    for start in range(0, len(ids), IN_MEMORY):
        yield from messages().filter(pk__in=ids[start : start + IN_MEMORY]).values_list("body", flat=True)


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


def following(body: str) -> Iterator[str]:
    """The ids, as far as they are known, of tasks that are still to come after this one: its chain's, its chord's."""
    return _ids_of_signatures(embedded(body))


def _ids_of_signatures(value: Any) -> Iterator[str]:
    """Anywhere in it: a group's tasks and a chord's body are among its arguments."""
    match value:
        case dict():
            match value:
                case {"options": {"task_id": str() as task_id}}:
                    yield task_id
            for each in value.values():
                yield from _ids_of_signatures(each)
        case list():
            for each in value:
                yield from _ids_of_signatures(each)
