"""A delivery whose task ended without it is brought to its end, with the reason, in place of pending for ever.

Found by its task's outcome, which is there whatever died, and which an index holds beside the millions that went well.
Nothing is lost by it: who replays the task, or has it sent again, has the delivery open again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from uuid import UUID

from celery import states
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_celery_results.models import TaskResult

from notifications import finding
from notifications.attempting import UNKNOWN
from notifications.lanes import TASK
from notifications.tables import Attempt, Delivery
from routing import faults
from routing.ledger import database, lookup
from routing.ledger.results import read_meta
from routing.ledger.tables import DeadLetter

State = Delivery.State
OPEN = (State.PENDING, State.SENDING)
BATCH = 200
GRACE = timedelta(minutes=2)
"""A body whose task was cancelled under it has ended by then, and says itself what came of it."""
CANCELLED, EXPIRED, DIED = "task_cancelled", "task_expired", "task_died"

Place = tuple[UUID, int]


@dataclass(frozen=True)
class Ended:
    """A task that came to its end, and not well; ``why`` is a reason of deliveries."""

    task_id: str
    place: Place
    why: str


def end_all(*, since: datetime) -> int:
    """Of tasks that ended from then on; says how many deliveries. Safe to call again, also twice at once."""
    return sum(_end(batch) for batch in _batches(since, database.now() - GRACE))


def _batches(since: datetime, until: datetime) -> Iterator[list[Ended]]:
    rows = TaskResult.objects.using(database.using()).filter(~Q(status=states.SUCCESS), date_done__lt=until)
    behind = Q(date_done__gte=since)
    while page := list(rows.filter(behind).order_by("date_done", "pk").defer("result", "traceback")[:BATCH]):
        yield [one for one in map(_ended, page) if one is not None]
        last = page[-1]
        behind = Q(date_done__gte=last.date_done) & (Q(date_done__gt=last.date_done) | Q(pk__gt=last.pk))


def _ended(row: TaskResult) -> Ended | None:
    place = finding.place(row.task_args) if row.task_name == TASK else None
    if place is None or row.status not in (states.FAILURE, states.REVOKED, states.IGNORED):
        return None
    if row.status == states.REVOKED:
        return Ended(row.task_id, place, EXPIRED if read_meta(row).get("reason") == "expired" else CANCELLED)
    return Ended(row.task_id, place, DIED)


def _end(ended: Sequence[Ended]) -> int:
    """Most deliveries of tasks that failed have failed themselves: a look that holds nothing finds the others."""
    by_place = {one.place: one for one in ended}
    if not by_place or not _open(by_place).exists():
        return 0
    with database.atomic():
        # Held: whoever sends one again, or just now writes how it went, comes before this or after it.
        rows = list(_open(by_place).select_for_update().order_by("pk"))
        lines = {row.pk: {row.task_id, by_place[_place(row)].task_id} for row in rows}
        moving = _moving(lines)
        faults.point("stranded.looked")
        left = [row for row in rows if row.pk not in moving]
        return _ask(left) + sum(_fail(left, why, by_place) for why in (CANCELLED, EXPIRED, DIED))


def _open(places: Iterable[Place]) -> "QuerySet[Delivery]":
    """None of those that wait for somebody to decide."""
    positions = defaultdict(list)
    for notification, position in places:
        positions[notification].append(position)
    there = reduce(or_, (Q(notification=key, position__in=found) for key, found in positions.items()))
    return Delivery.objects.filter(there, state__in=OPEN).exclude(reason=UNKNOWN)


def _moving(lines: Mapping[int, set[str]]) -> set[int]:
    """The deliveries that a task in flight will move: their own one, or a replay of it, or a replay of that."""
    replays = _replays(set().union(*lines.values()))
    for ids in lines.values():
        new = set(ids)
        while new := {after for one in new for after in replays[one]} - ids:
            ids |= new
    in_flight = set(lookup.messages().filter(pk__in=set().union(*lines.values())).values_list("pk", flat=True))
    return {key for key, ids in lines.items() if ids & in_flight}


def _replays(ids: set[str]) -> Mapping[str, set[str]]:
    """By the id that was replayed. Their dead letters are held, so that a replay comes before this or after it."""
    found = defaultdict[str, set[str]](set)
    new = ids
    while new:
        letters = DeadLetter.objects.using(database.using()).filter(task_id__in=new).select_for_update().order_by("pk")
        pairs = [(old, after) for old, after in letters.values_list("task_id", "replayed_as") if after]
        for old, after in pairs:
            found[old].add(after)
        new = {after for _, after in pairs} - found.keys()
    return found


def _fail(rows: Iterable[Delivery], why: str, ended: Mapping[Place, Ended]) -> int:
    keys = [row.pk for row in rows if ended[_place(row)].why == why]
    pending = Delivery.objects.filter(pk__in=keys, state=State.PENDING)
    return pending.update(state=State.FAILED, reason=why, finished_at=timezone.now())


def _ask(rows: Iterable[Delivery]) -> int:
    """Those that may have been sent: nobody is left who would find out."""
    keys = [row.pk for row in rows if row.state == State.SENDING]
    Attempt.objects.filter(delivery__in=keys, ended_at=None).update(outcome=Attempt.Outcome.UNKNOWN)
    return Delivery.objects.filter(pk__in=keys, state=State.SENDING).update(reason=UNKNOWN)


def _place(row: Delivery) -> Place:
    return row.notification_id, row.position
