"""What a chord continues with, once its last member has come to its outcome."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from celery import current_app, states
from celery.canvas import maybe_signature
from celery.exceptions import ChordError
from celery.utils.log import get_task_logger
from django.db import DatabaseError, InterfaceError
from django_celery_results.models import TaskResult

from routing.ledger import continuation, database
from routing.ledger.continuation import Continuation, Part

logger = get_task_logger(__name__)

FAILED = (states.FAILURE, states.REVOKED)


def finish_chord(part: Part, sub_tasks: str) -> Continuation:
    """Send the body with the members' results, in their order, or the errbacks where one failed.

    Inside the transaction that settles the last member, and with all results in one query.
    """
    tuples = json.loads(sub_tasks)
    rows = _rows(list(leaves(tuples)))
    body: Any = maybe_signature(part.body, app=current_app)
    with continuation.apart() as sent:
        if error := next(_failures(tuples, rows), None):
            _fail(body, error)
        else:
            _send(body, lambda: [_value(one, rows) for one in tuples])
    return sent


def _fail(body: Any, error: ChordError) -> None:
    try:
        # Celery takes the traceback from what is being handled; the last member may well have succeeded.
        raise error
    except ChordError:
        current_app.backend.chord_error_from_stack(body, error)


def _send(body: Any, values: Callable[[], list[Any]]) -> None:
    try:
        body.delay(values())
    except (DatabaseError, InterfaceError):
        raise
    except Exception as error:
        # The last member's own outcome must not hang on it.
        logger.exception("The body of a chord cannot be sent: %s", body)
        _fail(body, ChordError(f"The chord's body cannot be sent: {error!r}"))


def leaves(tuples: list[Any]) -> Iterator[str]:
    """The tasks' ids in Celery's tuples of results, ``((id, parent), children)``; a group's are its children."""
    for (task_id, _parent), children in tuples:
        if children:
            yield from leaves(children)
        else:
            yield task_id


def _rows(task_ids: list[str]) -> dict[str, TaskResult]:
    found = TaskResult.objects.using(database.using()).filter(task_id__in=task_ids)
    return {row.task_id: row for row in found.only("task_id", "status", "result", "content_type", "content_encoding")}


def _failures(tuples: list[Any], rows: Mapping[str, TaskResult]) -> Iterator[ChordError]:
    for task_id in leaves(tuples):
        row = rows.get(task_id)
        if row is None:
            yield ChordError(f"Dependency {task_id} has no result any more")
        elif row.status in FAILED:
            cause = current_app.backend.exception_to_python(_decoded(row))
            error = ChordError(f"Dependency {task_id} raised {cause!r}")
            error.__cause__ = cause
            yield error


def _value(one: Any, rows: Mapping[str, TaskResult]) -> Any:
    (task_id, _parent), children = one
    return [_value(child, rows) for child in children] if children else _decoded(rows[task_id])


def _decoded(row: TaskResult) -> Any:
    backend: Any = current_app.backend
    return backend.decode_content(row, row.result)
