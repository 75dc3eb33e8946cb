"""Rerouting: what waits is published anew, now or in another lane; what runs, or has ended meanwhile, is left alone.

A new epoch, as for each decision that a task is to be published again: a copy that is on its way is acked unrun.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from routing import faults
from routing.domains import registry
from routing.ledger import database, lookup, wake
from routing.ledger.enqueue import REPLACED
from routing.ledger.tables import Message, Outbox
from routing.ledger.unpublishing import unpublish

TOGETHER = 200
"""Tasks of one transaction."""
DUE_NOW, MOVED = "due now", "moved"
NOT_WAITING = "left, as it runs, waits for no time, or has ended"
NOT_MOVABLE = "left, as it runs, is in that lane already, is of another domain, or has ended"


def run_now(task_ids: Sequence[str]) -> Counter[str]:
    """Those that wait for a later time wait no longer. How many came to what. Safe to call again."""
    return _in_parts(task_ids, lambda part: _reroute(part, None), DUE_NOW, NOT_WAITING)


def move(task_ids: Sequence[str], *, queue: str) -> Counter[str]:
    """To another lane of their domain, behind what waits there. How many came to what. Safe to call again."""
    if registry().of_queue(queue) is None:
        raise ValueError(f"No queue is called {queue!r}. Use one of {', '.join(registry().pools)}.")
    return _in_parts(task_ids, lambda part: _reroute(part, queue), MOVED, NOT_MOVABLE)


def _in_parts(task_ids: Sequence[str], reroute: Callable[[Sequence[str]], int], done: str, left: str) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for start in range(0, len(task_ids), TOGETHER):
        part = task_ids[start : start + TOGETHER]
        count = reroute(part)
        outcomes.update({done: count, left: len(part) - count})
    return +outcomes


def _reroute(task_ids: Sequence[str], queue: str | None) -> int:
    with database.atomic():
        now = database.now()
        waiting = _waiting(task_ids)
        found = list(_for(queue, waiting) if queue else waiting.filter(due_at__gt=now))
        unpublish(found)
        _publish_anew(found, queue, now)
        faults.point("reroute.written")
        transaction.on_commit(wake.wake, using=database.using())
    return len(found)


def _for(queue: str, waiting: "QuerySet[Message]") -> "QuerySet[Message]":
    domain = registry().of_queue(queue)
    return waiting.filter(domain=domain.name if domain else "").exclude(queue=queue)


def _waiting(task_ids: Sequence[str]) -> "QuerySet[Message]":
    """Held until the transaction ends, in order of their ids: a worker that wants one waits, and finds a new epoch."""
    rows = lookup.messages().filter(pk__in=task_ids, owner__isnull=True).exclude(state=REPLACED)
    return rows.select_for_update().only("epoch", "queue", "due_at").order_by("pk")


def _publish_anew(found: Sequence[Message], queue: str | None, now: datetime) -> None:
    changes = [(queue or row.queue, max(row.due_at, now) if queue else now, row.epoch + 1, row) for row in found]
    database.execute_many(
        "UPDATE routing_message SET queue = %s, due_at = %s, epoch = %s, unknown_since = NULL WHERE id = %s",
        [(to, database.parameter(due_at), epoch, row.pk) for to, due_at, epoch, row in changes],
    )
    Outbox.objects.using(database.using()).bulk_create(
        Outbox(message_id=row.pk, epoch=epoch, queue=to, due_at=due_at, failures=0)
        for to, due_at, epoch, row in changes
    )
