"""Where a task in flight is, and what it waits for; with a cure where nothing would move it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from routing.console import html
from routing.console.lives import pause_sentence
from routing.console.message_rows import MessageRow
from routing.console.number_words import grouped
from routing.console.searching.limit import TookTooLong, time_limit
from routing.domains import registry
from routing.ledger import database, lookup, pauses
from routing.ledger.enqueue import REPLACED
from routing.ledger.tables import Message, Outbox, QueuePause

COUNTED_FOR = 0.3
"""Seconds that counting those ahead may take: there is no index of queues, because a claim would have to keep it."""


@dataclass(frozen=True)
class Surroundings:
    """What some tasks wait for: pauses by queue, publications and the number of tasks ahead by task id."""

    paused: Mapping[str, QueuePause] = field(default_factory=dict)
    outbox: Mapping[str, Outbox] = field(default_factory=dict)
    ahead: Mapping[str, int] = field(default_factory=dict)


def surroundings(rows: Iterable[Message]) -> Surroundings:
    waiting = [row for row in rows if row.owner is None]
    if not waiting:
        return Surroundings()
    paused = {pause.queue: pause for pause in pauses.in_force()}
    epochs = {row.pk: row.epoch for row in waiting}
    publications = Outbox.objects.using(database.using()).filter(message_id__in=epochs)
    outbox = {each.message_id: each for each in publications if each.epoch == epochs[each.message_id]}
    in_broker = [row for row in waiting if row.pk not in outbox and row.queue not in paused]
    return Surroundings(paused, outbox, _ahead(in_broker))


def _ahead(rows: Iterable[Message]) -> dict[str, int]:
    """How many of its queue were enqueued before each and are published, too; missing where it would take too long."""
    found: dict[str, int] = {}
    try:
        with time_limit(COUNTED_FOR):
            for row in rows:
                if row.state != REPLACED:
                    found[row.pk] = _before(row)
    except TookTooLong:
        pass
    return found


def _before(row: Message) -> int:
    unpublished = Outbox.objects.filter(message_id=OuterRef("pk"), epoch=OuterRef("epoch"))
    waiting = lookup.messages().filter(queue=row.queue, owner__isnull=True, created_at__lt=row.created_at)
    return waiting.exclude(state=REPLACED).exclude(Exists(unpublished)).count()


def whereabouts(seen: MessageRow, around: Surroundings) -> str:
    message = seen.row
    if seen.running:
        return _with_its_worker(seen)
    if message.state == REPLACED:
        return _("It was replaced by other tasks. The last of them comes under its id.")
    if message.queue not in registry().pools:
        return _(
            "No domain declares its queue %(queue)s. Declare it in project/domains.py again, or cancel the task."
        ) % {"queue": message.queue}
    if paused := around.paused.get(message.queue):
        return pause_sentence(paused)
    waiting = around.outbox.get(message.pk)
    return _for_the_relay(seen, waiting) if waiting else _in_the_broker(message, around.ahead.get(message.pk, 0))


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


def _in_the_broker(message: Message, ahead: int) -> str:
    take = _("for a worker of %(queue)s to take it: manage.py pool %(queue)s") % {"queue": message.queue}
    if not ahead:
        return _("It lies in RabbitMQ, %(take)s") % {"take": take}
    text = ngettext(
        "It lies in RabbitMQ, behind %(ahead)s other, %(take)s",
        "It lies in RabbitMQ, behind %(ahead)s others, %(take)s",
        ahead,
    )
    return text % {"ahead": grouped(ahead), "take": take}
