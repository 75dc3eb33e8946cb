"""Chords that will never be complete, told from their members' results."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q
from django_celery_results.models import ChordCounter, TaskResult

from routing.ledger.results import RECORDED

LOST_AFTER = timedelta(days=1)


def lost_chords(now: datetime) -> list[int]:
    """Keys of the counters whose members ended over a day ago, or never were.

    Nothing says how old a counter is but its members' results. One without any may be brand-new, its members about to
    be enqueued; yet keys rise, so it is old once a younger one has old members.
    """
    ago, are_old, lost = now - LOST_AFTER, False, []
    for key in ChordCounter.objects.order_by("-pk").values_list("pk", flat=True):
        members = _members(key)
        are_old = are_old or (members["total"] > 0 and members["oldest"] < ago)
        if _ended(members, ago) or (are_old and not members["total"]):
            lost.append(key)
    return lost


def _members(key: int) -> dict[str, Any]:
    """Of its members: how many have a result, how many of those no outcome, the first enqueued, the last ended."""
    # One counter at a time: a big chord's holds a megabyte.
    sub_tasks = ChordCounter.objects.filter(pk=key).values_list("sub_tasks", flat=True).first() or "[]"
    results = TaskResult.objects.filter(task_id__in=list(_task_ids(json.loads(sub_tasks))))
    members: dict[str, Any] = results.aggregate(
        total=Count("pk"),
        unfinished=Count("pk", filter=~Q(status__in=RECORDED)),
        oldest=Min("date_created"),
        newest=Max("date_done"),
    )
    return members


def _ended(members: dict[str, Any], before: datetime) -> bool:
    return bool(members["total"] and not members["unfinished"] and members["newest"] < before)


def _task_ids(results: list[Any]) -> Iterator[str]:
    """The ids in Celery's tuples of results, ``((id, parent), children)``; a group's members are its children."""
    for (task_id, _parent), children in results:
        yield task_id
        yield from _task_ids(children or [])
