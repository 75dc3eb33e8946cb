"""Tasks that have not finished, found by a search for results: a few of them, and what each waits for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from routing.console.message_rows import MessageRow, workers_of
from routing.console.page_parts import message_url
from routing.console.result_rows import StateWord
from routing.console.searching import in_flight
from routing.console.searching.limit import TookTooLong, time_limit
from routing.console.searching.terms import Term
from routing.console.whereabouts import Surroundings, surroundings, whereabouts
from routing.ledger import lookup
from routing.ledger.tables import Message

SHOWN = 5
SECONDS = 0.5


@dataclass(frozen=True)
class Waiting:
    name: str
    url: str
    state: StateWord
    enqueued: datetime
    why: str


@dataclass(frozen=True)
class Found:
    """``more`` than these few match; ``stopped``: looking took too long. ``url`` lists all."""

    url: str
    tasks: list[Waiting] = field(default_factory=list)
    more: bool = False
    stopped: bool = False


def find(terms: Sequence[Term], query: str, *, domains: Collection[str] | None = None) -> Found:
    """``domains``: those that are looked at; None for all."""
    url = f"{reverse('admin:routing_message_changelist')}?{urlencode({'q': query})}"
    wanted = in_flight.whole(terms, now=timezone.now())
    # In no order: that would have all of them read before the first.
    within = Q() if domains is None else Q(domain__in=domains)
    rows = lookup.messages().filter(wanted, within).defer("body", "headers", "properties", "progress")
    try:
        with time_limit(SECONDS):
            found = list(rows[: SHOWN + 1])
    except TookTooLong:
        return Found(url, stopped=True)
    shown, workers, around = found[:SHOWN], workers_of(found), surroundings(found[:SHOWN])
    seen = [MessageRow(row, worker=workers.get(row.owner) if row.owner else None) for row in shown]
    tasks = sorted((_waiting(each, around) for each in seen), key=lambda task: task.enqueued)
    return Found(url, tasks, more=len(found) > SHOWN)


def _waiting(seen: MessageRow, around: Surroundings) -> Waiting:
    row: Message = seen.row
    return Waiting(row.task, message_url(row.pk), seen.state, row.created_at, whereabouts(seen, around))
