"""One task in flight as a page to read: what it is, where it is now, and what moves it next."""

import json
from collections.abc import Iterator

from django.utils.translation import gettext as _

from routing.console import html, page_parts
from routing.console.lives import pause_sentence
from routing.console.message_rows import MessageRow, error_of, worker_of
from routing.console.page_parts import Failure, Step, TaskPage, Value
from routing.domains import registry
from routing.ledger import database, pauses
from routing.ledger.enqueue import REPLACED
from routing.ledger.renewal import REPLAY_HEADER
from routing.ledger.tables import Message, Outbox


def message_page(message: Message) -> TaskPage:
    """Asks the database for its worker, its publication and its relatives."""
    seen = MessageRow(message, worker=worker_of(message))
    return TaskPage(
        state=seen.state,
        headline=whereabouts(seen),
        steps=list(_steps(seen)),
        pending=seen.ran or seen.waited,
        failure=Failure(**error_of(message)) if message.error else None,
        values=list(_values(message)),
        facts=[(name, value) for name, value in _facts(seen) if value],
        relatives=page_parts.relatives(_related_ids(message), but=message.pk),
        nothing=_("It was called without arguments."),
    )


def _related_ids(message: Message) -> Iterator[tuple[str, str]]:
    headers = page_parts.parsed(message.headers)
    yield from page_parts.replays(headers.get(REPLAY_HEADER) if isinstance(headers, dict) else None, None)
    yield from page_parts.ancestors(message.root_id, message.parent_id)


def whereabouts(seen: MessageRow) -> str:
    """Where the task is, and what it waits for; with a cure where nothing would move it."""
    message = seen.row
    if seen.running:
        return _with_its_worker(seen)
    if message.state == REPLACED:
        return _("It was replaced by other tasks. The last of them comes under its id.")
    if message.queue not in registry().pools:
        return _(
            "No domain declares its queue %(queue)s. Declare it in project/domains.py again, or cancel the task."
        ) % {"queue": message.queue}
    if paused := pauses.in_force().filter(queue=message.queue).first():
        return pause_sentence(paused)
    waiting = Outbox.objects.using(database.using()).filter(message_id=message.pk, epoch=message.epoch).first()
    return _for_the_relay(seen, waiting) if waiting else _in_the_broker(message)


def _with_its_worker(seen: MessageRow) -> str:
    if seen.worker is None or seen.worker.dead_at:
        return _("Its worker died. A relay gives the task to another one within a minute: manage.py relay")
    return _("It runs on %(worker)s, process %(pid)s.") % {"worker": seen.worker_name, "pid": seen.row.pid}


def _for_the_relay(seen: MessageRow, waiting: Outbox) -> str:
    if waiting.failures:
        reason = (waiting.reason or "").strip().rstrip(".") or _("no reason was noted")
        return _("It could not be published yet: %(reason)s. A relay tries again at %(at)s.") % {
            "reason": reason,
            "at": html.plain_clock(waiting.due_at),
        }
    if waiting.due_at > seen.at:
        return _("It is not due yet. A relay publishes it at %(at)s.") % {"at": html.plain_clock(waiting.due_at)}
    return _("It waits for a relay to publish it. Start one, if none runs: manage.py relay")


def _in_the_broker(message: Message) -> str:
    return _("It lies in RabbitMQ, for a worker of %(queue)s to take it: manage.py pool %(queue)s") % {
        "queue": message.queue
    }


def _steps(seen: MessageRow) -> Iterator[Step]:
    message = seen.row
    yield Step(_("Enqueued"), message.created_at)
    if seen.due_later:
        yield Step(_("Due"), message.due_at)
    if seen.running and message.started_at:
        yield Step(_("Started"), message.started_at, seen.waited)


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
        yield page_parts.text(_("Body"), body)
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
