"""Rejoining: a chord's member that is replayed takes its old place, where its chord still waits for others.

A chord that has come to its end does not come to another: there the member runs by itself.
"""

from collections.abc import Sequence

from django_celery_results.models import ChordCounter, TaskResult

from routing.ledger import database
from routing.ledger.enqueue import OUTCOMES
from routing.ledger.renewal import Renewal


def rejoin(renewals: Sequence[Renewal]) -> None:
    """Inside the transaction that enqueues them."""
    members = [(renewal, member) for renewal in renewals for member in renewal.memberships]
    if not members:
        return
    counters = _held({member.group_id for _, member in members})
    ended = _ended({member.member_id for _, member in members})
    for renewal, member in members:
        counter = counters.get(member.group_id)
        if counter is None or f'"{member.member_id}"' not in counter.sub_tasks:
            renewal.leave(member)
        else:
            # The outcome that it had has counted; one that the ledger has lost, with its message, has not.
            counter.count += member.member_id in ended
            _rename(counter, renewal)
    for counter in counters.values():
        counter.save(using=database.using(), update_fields=["count", "sub_tasks"])


def _held(group_ids: set[str]) -> dict[str, ChordCounter]:
    """Locked until the end of the transaction, as the settlement of a member locks it to count down."""
    rows = ChordCounter.objects.using(database.using()).filter(group_id__in=group_ids)
    return {row.group_id: row for row in rows.select_for_update().order_by("group_id")}


def _ended(task_ids: set[str]) -> set[str]:
    rows = TaskResult.objects.using(database.using()).filter(task_id__in=task_ids, status__in=OUTCOMES)
    return set(rows.values_list("task_id", flat=True))


def _rename(counter: ChordCounter, renewal: Renewal) -> None:
    for old, new in renewal.ids.items():
        counter.sub_tasks = counter.sub_tasks.replace(f'"{old}"', f'"{new}"')
