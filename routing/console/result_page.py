"""One result as a page to read: what it was, when, with what, and what became of it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from celery import states
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django_celery_results.models import TaskResult

from routing.console import page_parts
from routing.console.flow import flow
from routing.console.page_parts import Failure, Step, TaskPage, Value, parsed
from routing.console.result_rows import ResultRow, Span
from routing.ledger.replay import REPLAY_OF, REPLAYED_AS
from routing.ledger.results import payload_removed_at


def result_page(row: TaskResult) -> TaskPage:
    """Asks the database for its flow, its relatives and the last runs of the same task."""
    result = ResultRow(row)
    return TaskPage(
        state=result.state,
        headline=_headline(result),
        steps=list(_steps(result)),
        pending=next((span for span in (result.ran, result.waited) if span and span.open), None),
        failure=_failure(row),
        values=list(_values(row)),
        facts=[(name, value) for name, value in _facts(result) if value],
        relatives=page_parts.relatives(_related_ids(result.meta), but=row.task_id),
        flow=flow(row.task_id, root_id=result.meta.get("root_id")),
        runs=page_parts.runs(row.task_name, but=row.task_id),
        nothing=_("It was called without arguments, and has no result or an empty one."),
        removed=_removed(result),
    )


def _headline(result: ResultRow) -> str:
    status = result.row.status
    if status == states.REVOKED and result.meta.get("reason") == "expired":
        return _("It expired before a worker took it.")
    if status == states.IGNORED:
        return _("It ran and asked for no outcome (celery.exceptions.Ignore).")
    if status == states.RETRY:
        return _("Attempt %(attempt)s failed; it waits to be tried again.") % {"attempt": result.meta.get("attempt", 1)}
    if status == states.REVOKED and result.meta.get("by"):
        return _cancelled(result.meta)
    if status == states.REVOKED:
        return _("It was cancelled or expired before it could finish.")
    if status == states.PENDING:
        return _("It waits for a worker.")
    if status == states.STARTED:
        return _("A worker runs it.")
    return ""


def _cancelled(meta: dict[str, Any]) -> str:
    by = {"by": str(meta["by"])}
    if meta.get("ran"):
        sentence = _("%(by)s cancelled it while it ran; what its body came to does not count.") % by
    else:
        sentence = _("%(by)s cancelled it before it began.") % by
    return f"{sentence} {meta['note']}" if meta.get("note") else sentence


def _steps(result: ResultRow) -> Iterator[Step]:
    yield Step(_("Enqueued"), result.row.date_created)
    if result.row.date_started:
        yield Step(page_parts.started(result.meta.get("attempt")), result.row.date_started, result.waited)
    if result.done_at:
        # What never started ended after waiting all its life.
        whole = Span(max(result.done_at - result.row.date_created, timedelta()))
        yield Step(_("Finished"), result.done_at, result.ran or whole)


def _failure(row: TaskResult) -> Failure | None:
    """The error as Celery's backends store it; None where the task did not fail, or wrote something else."""
    if row.status not in (states.FAILURE, states.RETRY, states.REVOKED):
        return None
    error = parsed(row.result)
    if not isinstance(error, dict) or "exc_type" not in error:
        return None
    words = error.get("exc_message")
    message = " ".join(str(word) for word in words) if isinstance(words, list | tuple) else str(words or "")
    return Failure(".".join(filter(None, (error.get("exc_module"), str(error["exc_type"])))), message)


def _values(row: TaskResult) -> Iterator[Value]:
    yield from page_parts.value(_("Arguments"), row.task_kwargs, empty={})
    yield from page_parts.value(_("Positional arguments"), row.task_args, empty=[])
    if not _failure(row):
        yield from page_parts.value(_("Result"), row.result, empty=None)
    if row.traceback:
        yield page_parts.traceback(_("Traceback"), row.traceback)


def _removed(result: ResultRow) -> str:
    moment = payload_removed_at(result.row)
    if moment is None:
        return ""
    what = _("Its arguments were") if _failure(result.row) else _("Its arguments and result were")
    return _("%(what)s removed by retention on %(day)s: its domain keeps outcomes for longer than payloads.") % {
        "what": what,
        "day": date_format(timezone.localtime(moment), "DATE_FORMAT"),
    }


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


def _related_ids(meta: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from page_parts.replays(meta.get(REPLAY_OF), meta.get(REPLAYED_AS))
    yield from page_parts.ancestors(meta.get("root_id"), meta.get("parent_id"))
