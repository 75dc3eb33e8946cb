"""Exports: rows as a file, written while they are read, a few in memory at a time, and harmless in a spreadsheet."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.console import payloads
from routing.console.jobs.scopes import Finished, InFlight
from routing.console.result_rows import ResultRow
from routing.ledger import lookup
from routing.ledger.tables import Message

FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
MOST = 100_000
"""Rows of one file."""
IN_MEMORY = 50
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the beginning of a formula; the last four are the wide forms of the first."""
Row = dict[str, Any]


class _Echo:
    """What is written to it is what it returns: the writer's lines, one by one."""

    def write(self, text: str) -> str:
        return text


def response(rows: Iterator[Row], *, name: str, kind: str) -> StreamingHttpResponse:
    lines = {"csv": _csv, "json": _json}[kind](rows)
    streamed = StreamingHttpResponse(lines, content_type=FORMATS[kind])
    at = timezone.localtime().strftime("%Y-%m-%d-%H%M")
    streamed["Content-Disposition"] = f'attachment; filename="{name}-{at}.{kind}"'
    return streamed


def finished(scope: Finished, *, user: Any) -> Iterator[Row]:
    """The newest first."""
    position, count = "", 0
    while True:
        page = scope.page(position, IN_MEMORY)
        for result in page.rows[: MOST - count]:
            yield _finished(result, user)
        count += len(page.rows)
        if page.older is None or count >= MOST:
            return
        position = str(page.older)


def chosen_results(keys: Sequence[Any], *, user: Any) -> Iterator[Row]:
    return _few(TaskResult.objects, keys, lambda row: _finished(row, user))


def in_flight(scope: InFlight, *, user: Any) -> Iterator[Row]:
    """In order of their ids."""
    position, count = "", 0
    while count < MOST:
        batch = scope.batch(position, min(IN_MEMORY, MOST - count))
        yield from chosen_tasks(batch.keys, user=user)
        if batch.last:
            return
        position, count = batch.position, count + len(batch.keys)


def chosen_tasks(keys: Sequence[Any], *, user: Any) -> Iterator[Row]:
    return _few(lookup.messages(), keys, lambda row: _in_flight(row, user))


def _few(rows: Any, keys: Sequence[Any], told: Callable[[Any], Row]) -> Iterator[Row]:
    for start in range(0, len(keys), IN_MEMORY):
        part: QuerySet[Any] = rows.filter(pk__in=keys[start : start + IN_MEMORY])
        yield from map(told, part.order_by("pk"))


def _finished(row: TaskResult, user: Any) -> Row:
    seen = ResultRow(row)
    return {
        "id": row.task_id,
        "task": row.task_name or "",
        "domain": seen.domain.name if seen.domain else "",
        "queue": seen.queue,
        "state": row.status,
        "enqueued_at": _moment(row.date_created),
        "started_at": _moment(row.date_started),
        "done_at": _moment(row.date_done),
        "worker": row.worker or "",
        "args": payloads.written(row.task_args, user=user),
        "kwargs": payloads.written(row.task_kwargs, user=user),
        "result": payloads.written(row.result, user=user),
        "traceback": payloads.written(row.traceback, user=user),
    }


def _in_flight(row: Message, user: Any) -> Row:
    args, kwargs = _arguments(row.body)
    return {
        "id": row.pk,
        "task": row.task,
        "domain": row.domain,
        "queue": row.queue,
        "state": row.state,
        "attempt": row.attempt,
        "enqueued_at": _moment(row.created_at),
        "due_at": _moment(row.due_at),
        "started_at": _moment(row.started_at),
        "args": payloads.written(args, user=user),
        "kwargs": payloads.written(kwargs, user=user),
        "error": payloads.written(row.error, user=user),
    }


def _arguments(body: str) -> tuple[str, str]:
    """The whole body in the first, where it is not as Celery writes it."""
    try:
        return lookup.arguments(body)
    except (ValueError, TypeError, RecursionError):
        return body, ""


def _moment(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _csv(rows: Iterator[Row]) -> Iterator[str]:
    writer: Any = csv.writer(_Echo())
    for number, row in enumerate(rows):
        if not number:
            # What opens it then knows that it is UTF-8.
            yield "\ufeff" + writer.writerow(row)
        yield writer.writerow([_harmless(value) for value in row.values()])


def _harmless(value: Any) -> str:
    text = str(value).replace("\0", "")
    return f"'{text}" if text.startswith(FORMULA) else text


def _json(rows: Iterator[Row]) -> Iterator[str]:
    """One list, an object on each line."""
    before = "[\n"
    for row in rows:
        yield before + json.dumps(row, ensure_ascii=False)
        before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"
