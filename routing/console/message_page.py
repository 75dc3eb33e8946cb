"""One task in flight as a page to read: what it is, where it is now, and what moves it next."""

import json
from collections.abc import Iterator

from django.utils.translation import gettext as _

from routing.console import html, page_parts
from routing.console.flow import flow
from routing.console.message_rows import MessageRow, error_of, worker_of
from routing.console.page_parts import Failure, Step, TaskPage, Value
from routing.console.whereabouts import surroundings, whereabouts
from routing.ledger.renewal import REPLAY_HEADER
from routing.ledger.tables import Message


def message_page(message: Message) -> TaskPage:
    """Asks the database for its worker, its publication and its relatives."""
    seen = MessageRow(message, worker=worker_of(message))
    return TaskPage(
        state=seen.state,
        headline=whereabouts(seen, surroundings([message])),
        steps=list(_steps(seen)),
        pending=seen.ran or seen.waited,
        failure=Failure(**error_of(message)) if message.error else None,
        values=list(_values(message)),
        facts=[(name, value) for name, value in _facts(seen) if value],
        relatives=page_parts.relatives(_related_ids(message), but=message.pk),
        flow=flow(message.pk, root_id=message.root_id),
        runs=page_parts.runs(message.task, but=message.pk),
        nothing=_("It was called without arguments."),
    )


def _related_ids(message: Message) -> Iterator[tuple[str, str]]:
    headers = page_parts.parsed(message.headers)
    yield from page_parts.replays(headers.get(REPLAY_HEADER) if isinstance(headers, dict) else None, None)
    yield from page_parts.ancestors(message.root_id, message.parent_id)


def _steps(seen: MessageRow) -> Iterator[Step]:
    message = seen.row
    yield Step(_("Enqueued"), message.created_at)
    if seen.due_later:
        yield Step(_("Due"), message.due_at)
    if seen.running and message.started_at:
        yield Step(page_parts.started(message.attempt), message.started_at, seen.waited)


def _values(message: Message) -> Iterator[Value]:
    if message.progress:
        yield from page_parts.value(_("Progress"), message.progress, empty=None)
    yield from _body(message.body)
    yield from page_parts.value(_("Headers"), message.headers, empty={}, folds=True)


def _body(body: str) -> Iterator[Value]:
    try:
        args, kwargs, embed = json.loads(body)
    except (ValueError, TypeError):
        # Another program's message: as it is.
        yield page_parts.text(_("Body"), body, payload=True)
        return
    for name, part, empty in ((_("Arguments"), kwargs, {}), (_("Positional arguments"), args, [])):
        yield from page_parts.value(name, json.dumps(part), empty=empty)
    follows = {key: part for key, part in (embed or {}).items() if part} if isinstance(embed, dict) else {}
    yield from page_parts.value(_("What follows it"), json.dumps(follows), empty={}, folds=True)


def _facts(seen: MessageRow) -> Iterator[tuple[str, str]]:
    message = seen.row
    yield _("Task id"), message.pk
    yield _("Domain"), seen.domain.title if seen.domain else _("none claims it")
    yield _("Queue"), message.queue
    yield _("Worker"), seen.worker_name
    yield _("Celery's state"), message.state
    yield _("Attempt"), str(message.attempt)
    # More than one start in an attempt means that a worker was lost on the way.
    yield _("Starts in this attempt"), str(message.runs or "")
    yield _("Decisions to run it (epoch)"), str(message.epoch)
    yield _("Expires"), html.plain_clock(message.expires_at) if message.expires_at else ""
    yield _("May start twice"), _("no, at most once") if message.at_most_once else ""
