"""The pipeline's part of the HTTP API: the answer to whatever was enqueued, and a task's state."""

import json
from datetime import datetime
from typing import Any

from celery import states
from celery.result import AsyncResult
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django_celery_results.models import TaskResult
from ninja import Field, Router, Schema

from routing.console import problems
from routing.console.api_access import needs, token_of
from routing.console.message_rows import MessageRow, error_of, worker_of
from routing.console.page_parts import parsed
from routing.console.result_rows import ResultRow, Span
from routing.console.scopes import PAYLOADS_READ, TASKS_READ
from routing.console.tokens import ApiToken
from routing.ledger import lookup
from routing.ledger.results import payload_removed_at

router = Router(tags=["Tasks"])

_FAILED = (states.FAILURE, states.RETRY, states.REVOKED)


class Enqueued(Schema):
    id: str = Field(examples=["0b4ccd55-4ad3-4c4c-a5f2-0a6d8a0f6a67"])
    state: str = Field(examples=[states.PENDING])
    url: str = Field(
        description="Where the task's state is.", examples=["/api/v1/tasks/0b4ccd55-4ad3-4c4c-a5f2-0a6d8a0f6a67"]
    )


class TaskError(Schema):
    type: str = Field(examples=["PermanentError"])
    message: str = Field(examples=["The mail server refused ann@example.org: 550 5.1.1 No such user."])


class TaskState(Schema):
    id: str
    state: str = Field(
        description="PENDING (waits), STARTED (runs), RETRY (runs again later), SUCCESS, FAILURE, REVOKED or IGNORED; "
        "while it runs, also any state of its own that it reports."
    )
    task: str | None = Field(examples=["notifications.send_email"])
    queue: str | None = Field(examples=["notifications.bulk"])
    enqueued_at: datetime
    started_at: datetime | None = Field(description="When its latest run started.")
    finished_at: datetime | None
    waited_seconds: float | None = Field(description="From enqueueing to the latest start; until now while it waits.")
    ran_seconds: float | None = Field(description="How long its latest run took; until now while it runs.")
    attempts: int = Field(description="Runs begun, each retry counting as one.")
    due_at: datetime | None = Field(None, description="When it may run, or run again; null once it has finished.")
    expires_at: datetime | None = Field(None, description="When it is revoked unless it has started.")
    worker: str | None = Field(None, description="Who runs it, or ran it last.")
    progress: Any = Field(None, description="What the running task last reported of itself.")
    result: Any = Field(
        None, description="What the task returned; null until it succeeded, and from `payload_removed_at` on."
    )
    payload_removed_at: datetime | None = Field(
        None, description="When its arguments and its result were removed, being past the time they are kept."
    )
    error: TaskError | None = Field(None, description="Why it failed, was revoked, or will be tried again.")
    masked: bool = Field(
        False, description="Whether `progress` and `result` are withheld, as the token lacks the scope `payloads:read`."
    )


def enqueued(task: AsyncResult[Any], response: HttpResponse) -> Enqueued:
    """The body of a 202 answer, whose ``Location`` header is set in passing."""
    url = reverse("api:task_state", kwargs={"task_id": task.id})
    response["Location"] = url
    return Enqueued(id=task.id, state=states.PENDING, url=url)


@router.get(
    "/tasks/{task_id}",
    response={200: TaskState, **problems.documented(404)},
    summary="What became of a task",
    **needs(TASKS_READ),
)
def task_state(
    request: HttpRequest,
    task_id: str,
) -> TaskState | HttpResponse:
    """A task is known from the moment it is enqueued until its result is pruned.

    With the scope `payloads:read`, the answer also has what the task returned, and what it reports of itself.
    """
    # PostgreSQL takes no NUL, not even to look for.
    # In flight first: a task that settles between the two looks is then found by the second.
    message = lookup.in_flight(task_id)
    if message is not None:
        return _seen_with(token_of(request), _state_in_flight(MessageRow(message, worker=worker_of(message))))
    row = TaskResult.objects.filter(task_id=task_id.replace("\0", "")).first()
    if row is None:
        return problems.response(
            404, f"No task {task_id!r} is known. Check the id; results are kept for a limited time."
        )
    return _seen_with(token_of(request), _state(row))


def _seen_with(token: ApiToken, state: TaskState) -> TaskState:
    """As on the console's pages: errors are for all, what a task was given and returned is not."""
    if token.may(PAYLOADS_READ.name):
        return state
    return state.model_copy(update={"progress": None, "result": None, "masked": True})


def _state_in_flight(seen: MessageRow) -> TaskState:
    row = seen.row
    return TaskState(
        id=row.pk,
        state=row.state,
        task=row.task,
        queue=row.queue or None,
        enqueued_at=row.created_at,
        started_at=row.started_at,
        finished_at=None,
        waited_seconds=_seconds(seen.waited),
        ran_seconds=_seconds(seen.ran),
        # The attempt that waits for its first run has not begun.
        attempts=row.attempt if row.runs or seen.running else row.attempt - 1,
        due_at=row.due_at,
        expires_at=row.expires_at,
        worker=seen.worker_name or None,
        progress=parsed(row.progress),
        result=None,
        payload_removed_at=None,
        error=TaskError(**error_of(row)) if row.error else None,
        masked=False,
    )


def _state(row: TaskResult) -> TaskState:
    seen = ResultRow(row)
    return TaskState(
        id=row.task_id,
        state=row.status,
        task=row.task_name,
        queue=seen.queue or None,
        enqueued_at=row.date_created,
        started_at=row.date_started,
        finished_at=seen.done_at,
        waited_seconds=_seconds(seen.waited),
        ran_seconds=_seconds(seen.ran),
        attempts=seen.meta.get("attempt", 0),
        due_at=None,
        expires_at=None,
        worker=row.worker,
        progress=None,
        result=_decoded(row) if row.status == states.SUCCESS else None,
        payload_removed_at=payload_removed_at(row),
        error=_error(row) if row.status in _FAILED else None,
        masked=False,
    )


def _seconds(span: Span | None) -> float | None:
    return None if span is None else round(span.length.total_seconds(), 3)


def _decoded(row: TaskResult) -> Any:
    """The value where it is JSON, as all of ours are; the text as it is where another program wrote it."""
    try:
        return json.loads(row.result) if row.result else None
    except ValueError:
        return row.result


def _error(row: TaskResult) -> TaskError:
    stored = _decoded(row)
    if not isinstance(stored, dict):
        return TaskError(type=row.status, message=str(stored or ""))
    words = stored.get("exc_message")
    message = "; ".join(str(word) for word in words) if isinstance(words, list) else str(words or "")
    return TaskError(type=str(stored.get("exc_type", row.status)), message=message)
