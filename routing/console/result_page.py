"""One result as a page to read: what it was, when, with what, and what became of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import states
from django.urls import reverse
from django.utils.translation import gettext as _
from django_celery_results.models import TaskResult

from routing.console.result_rows import ResultRow, Span, StateWord

SHOWN = 200_000
"""Characters of one value that a page shows; what is left out is said."""
FOLDED = 1_500
"""A value longer than this starts folded."""


@dataclass(frozen=True)
class Step:
    """A moment in the task's life, and how long it took to get there from the one before."""

    name: str
    at: datetime
    after: Span | None = None


@dataclass(frozen=True)
class Value:
    """A text to show as it is, in a monospaced box."""

    name: str
    text: str
    length: int
    folded: bool

    @property
    def left_out(self) -> int:
        return self.length - len(self.text)


@dataclass(frozen=True)
class Failure:
    type: str
    message: str


@dataclass(frozen=True)
class Relative:
    """Another task of the same flow. ``url`` is empty where its row is gone, or never was."""

    role: str
    task_id: str
    name: str = ""
    state: StateWord | None = None
    url: str = ""


@dataclass(frozen=True)
class ResultPage:
    row: ResultRow
    headline: str
    steps: list[Step]
    pending: Span | None
    """How long it has waited or run by now, where it has not finished."""
    failure: Failure | None
    values: list[Value]
    facts: list[tuple[str, str]]
    relatives: list[Relative]


def result_page(row: TaskResult) -> ResultPage:
    """Asks the database once, for the rows of its relatives, if it has any."""
    result = ResultRow(row)
    return ResultPage(
        row=result,
        headline=_headline(result),
        steps=list(_steps(result)),
        pending=next((span for span in (result.ran, result.waited) if span and span.open), None),
        failure=_failure(row),
        values=list(_values(row)),
        facts=[(name, value) for name, value in _facts(result) if value],
        relatives=_relatives(result),
    )


def _headline(result: ResultRow) -> str:
    status = result.row.status
    if status == states.RETRY:
        return _("Attempt %(attempt)s failed; it waits to be tried again.") % {"attempt": result.meta.get("attempt", 1)}
    if status == states.REVOKED:
        return _("It was cancelled or expired before it could finish.")
    if status == states.PENDING:
        return _("It waits for a worker.")
    if status == states.STARTED:
        return _("A worker runs it.")
    return ""


def _steps(result: ResultRow) -> Iterator[Step]:
    yield Step(_("Enqueued"), result.row.date_created)
    if result.row.date_started:
        yield Step(_("Started"), result.row.date_started, result.waited)
    if result.done_at:
        # What never started ended after waiting all its life.
        whole = Span(max(result.done_at - result.row.date_created, timedelta()))
        yield Step(_("Finished"), result.done_at, result.ran or whole)


def _failure(row: TaskResult) -> Failure | None:
    """The error as Celery's backends store it; None where the task did not fail, or wrote something else."""
    if row.status not in (states.FAILURE, states.RETRY, states.REVOKED):
        return None
    error = _parsed(row.result)
    if not isinstance(error, dict) or "exc_type" not in error:
        return None
    words = error.get("exc_message")
    message = " ".join(str(word) for word in words) if isinstance(words, list | tuple) else str(words or "")
    return Failure(".".join(filter(None, (error.get("exc_module"), str(error["exc_type"])))), message)


def _values(row: TaskResult) -> Iterator[Value]:
    yield from _value(_("Arguments"), row.task_kwargs, empty={})
    yield from _value(_("Positional arguments"), row.task_args, empty=[])
    if not _failure(row):
        yield from _value(_("Result"), row.result, empty=None)
    if row.traceback:
        # Open however long it is: it is what people come for.
        yield _text(_("Traceback"), row.traceback, folds=False)


def _value(name: str, stored: str | None, *, empty: Any) -> Iterator[Value]:
    if stored is None or _parsed(stored) == empty:
        return
    yield _text(name, _pretty(stored), folds=True)


def _text(name: str, text: str, *, folds: bool) -> Value:
    return Value(name, text[:SHOWN], len(text), folded=folds and len(text) > FOLDED)


def _pretty(stored: str) -> str:
    """Indented JSON; where it is none, or too long to be worth it, the text as it is stored."""
    if len(stored) > SHOWN:
        return stored
    try:
        return json.dumps(json.loads(stored), indent=2, ensure_ascii=False)
    except ValueError:
        return stored


def _parsed(stored: str | None) -> Any:
    """What the JSON says; the text itself where it is none."""
    try:
        return json.loads(stored or "null")
    except ValueError:
        return stored


def _facts(result: ResultRow) -> Iterator[tuple[str, str]]:
    row, meta = result.row, result.meta
    yield _("Task id"), row.task_id
    yield _("Domain"), result.domain.title if result.domain else _("none claims it")
    yield _("Queue"), result.queue
    yield _("Worker"), row.worker or ""
    yield _("Celery's state"), row.status
    yield _("Attempt"), str(meta.get("attempt") or "")
    # More than one start in an attempt means that a worker was lost on the way.
    yield _("Starts in this attempt"), str(meta.get("runs") or "")
    yield _("Schedule entry"), row.periodic_task_name or ""


def _relatives(result: ResultRow) -> list[Relative]:
    roles = [(role, task_id) for role, task_id in _related_ids(result.meta) if task_id != result.row.task_id]
    if not roles:
        return []
    rows = TaskResult.objects.filter(task_id__in={task_id for _role, task_id in roles})
    found = {row.task_id: row for row in rows.only("task_id", "task_name", "status")}
    return [_relative(role, task_id, found.get(task_id)) for role, task_id in roles]


def _relative(role: str, task_id: str, row: TaskResult | None) -> Relative:
    if row is None:
        return Relative(role, task_id)
    url = reverse("admin:django_celery_results_taskresult_change", args=[row.pk])
    return Relative(role, task_id, row.task_name or task_id, ResultRow(row).state, url)


def _related_ids(meta: dict[str, Any]) -> Iterator[tuple[str, str]]:
    root, parent = meta.get("root_id"), meta.get("parent_id")
    if root and root != parent:
        yield _("First task of the flow"), str(root)
    if parent:
        yield _("Enqueued by"), str(parent)
    for child in dict.fromkeys(_ids(meta.get("children"))):
        yield _("Enqueued"), child


def _ids(children: Any) -> Iterator[str]:
    """Task ids in Celery's tuples: ``[[id, parent], null]`` for a task, ``[[id, parent], [task, …]]`` for a group."""
    for child in children if isinstance(children, list | tuple) else ():
        match child:
            case [[str(task_id), *_parent], None | []]:
                yield task_id
            case [_group, [*tasks]]:
                yield from _ids(tasks)
