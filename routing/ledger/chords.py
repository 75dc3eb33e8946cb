"""Chords that will never be complete, told from what became of their members."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q
from django_celery_results.models import ChordCounter, TaskResult

from routing.ledger import database
from routing.ledger.enqueue import OUTCOMES
from routing.ledger.lookup import messages

LOST_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Members:
    """Of a chord's members: how many are known, how many have no outcome, the first enqueued, the last ended."""

    total: int
    unfinished: int
    oldest: datetime | None
    newest: datetime | None

    def ended_before(self, moment: datetime) -> bool:
        """All that are known, and there are some."""
        return bool(self.total and not self.unfinished and self.newest and self.newest < moment)


def lost_chords(now: datetime, *, after: timedelta = LOST_AFTER) -> list[int]:
    """Keys of the counters whose members ended so long ago, or never were.

    Nothing says how old a counter is but its members. One without any may be brand-new, its members about to be
    enqueued; yet keys rise, so it is old once a younger one has old members.
    """
    ago, are_old, lost = now - after, False, []
    for key in _counters().order_by("-pk").values_list("pk", flat=True):
        members = members_of(key)
        are_old = are_old or bool(members.oldest and members.oldest < ago)
        if members.ended_before(ago) or (are_old and not members.total):
            lost.append(key)
    return lost


def members_of(key: int) -> Members:
    # One counter at a time: a big chord's holds a megabyte.
    sub_tasks = _counters().filter(pk=key).values_list("sub_tasks", flat=True).first() or "[]"
    ids = list(_task_ids(json.loads(sub_tasks)))
    # Those in flight first: a member that ends meanwhile is then counted twice, and else it would not be at all.
    waiting = messages().filter(pk__in=ids).aggregate(count=Count("pk"), oldest=Min("created_at"))
    results = TaskResult.objects.using(database.using()).filter(task_id__in=ids)
    known = results.aggregate(
        count=Count("pk"),
        unfinished=Count("pk", filter=~Q(status__in=OUTCOMES)),
        oldest=Min("date_created"),
        newest=Max("date_done"),
    )
    return Members(
        total=waiting["count"] + known["count"],
        unfinished=waiting["count"] + known["unfinished"],
        oldest=min(filter(None, (waiting["oldest"], known["oldest"])), default=None),
        newest=known["newest"],
    )


def _counters() -> Any:
    return ChordCounter.objects.using(database.using())


def _task_ids(results: list[Any]) -> Iterator[str]:
    """The ids in Celery's tuples of results, ``((id, parent), children)``; a group's members are its children."""
    for (task_id, _parent), children in results:
        yield task_id
        yield from _task_ids(children or [])
