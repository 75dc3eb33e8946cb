"""Goes through the results once, in the order of their keys, and adds each to the roll-up of its hour.

Counted, and how far that went, are one transaction: it may die anywhere and be started anywhere, also twice at once,
and each result is counted once. A result that is late, by days even, is counted in the hour in which it was recorded.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django_celery_results.models import TaskResult

from reporting.rollups import counting, histogram
from reporting.rollups.counting import Key, Sum
from reporting.rollups.tables import RollUp, RollUpState, RollUpTotal
from routing import faults
from routing.ledger import database, settled
from routing.ledger.enqueue import OUTCOMES
from routing.ledger.settled import Fence

logger = logging.getLogger(__name__)

BATCH = 5_000
PATIENCE = timedelta(seconds=2)
LOOK_EVERY = 0.02
MAX_UNFINISHED = 100_000
"""More of them than can be looked at again, and again, are not: other releases leave none behind."""


@dataclass(frozen=True)
class Progress:
    """``counted`` results; all that were recorded by ``complete_until`` are in the roll-ups."""

    counted: int
    complete_until: datetime | None

    def as_json(self) -> dict[str, Any]:
        return {"counted": self.counted, "complete_until": self.complete_until and self.complete_until.isoformat()}


def roll_up(*, budget: timedelta, patience: timedelta = PATIENCE) -> Progress:
    """Count what has been recorded since the last time. Safe to call again, also twice at once.

    It ends after the batch at hand when ``budget`` is used up; the next one goes on.
    """
    deadline = time.monotonic() + budget.total_seconds()
    counted = 0
    fence = _firm_fence(patience)
    while fence is not None:
        batch, is_last = _count_batch(fence)
        counted += batch
        if is_last or time.monotonic() > deadline:
            break
    return Progress(counted, complete_until())


def complete_until() -> datetime | None:
    """All results recorded by then are counted."""
    return RollUpState.objects.using(database.using()).filter(pk=1).values_list("complete_until", flat=True).first()


def reached() -> tuple[int, datetime | None]:
    """The key up to which results are counted, and until when they were recorded that are; nothing yet: 0 and None."""
    state = RollUpState.objects.using(database.using()).filter(pk=1).first()
    return (state.reached, state.complete_until) if state else (0, None)


def _firm_fence(patience: timedelta) -> Fence | None:
    """The newest that is firm. One that is not is kept: a transaction that lasts holds nothing up for ever."""
    with database.atomic():
        state = _locked()
        kept = Fence.from_json(state.fence) if state.fence else None
        fence = settled.take()
    deadline = time.monotonic() + patience.total_seconds()
    while not settled.is_firm(fence):
        if time.monotonic() > deadline:
            logger.info("Transactions are still writing results; what they record is counted the next time")
            return _fallen_back(kept, fence)
        time.sleep(LOOK_EVERY)
    return fence


def _fallen_back(kept: Fence | None, fence: Fence) -> Fence | None:
    firm = kept is not None and settled.is_firm(kept)
    if kept is None or firm:
        with database.atomic():
            state = _locked()
            state.fence = fence.as_json()
            state.save(update_fields=["fence"])
    return kept if firm else None


def _count_batch(fence: Fence) -> tuple[int, bool]:
    """How many were counted, and whether nothing is left below the fence."""
    with database.atomic():
        state = _locked()
        rows = list(_rows().filter(pk__gt=state.reached, pk__lte=fence.key).order_by("pk")[:BATCH])
        again = list(_rows().filter(pk__in=state.unfinished, status__in=OUTCOMES)) if state.unfinished else []
        sums, unfinished = counting.count([*rows, *again])
        _add(sums)
        _add_to_totals(sums)
        state.unfinished = _still_unfinished(state.unfinished, again, unfinished)
        is_last = len(rows) < BATCH
        state.reached = max(state.reached, fence.key if is_last else rows[-1].pk)
        if is_last and (state.complete_until is None or state.complete_until < fence.at):
            state.complete_until = fence.at
        state.save()
        faults.point("rollup.written")
    if rows or again:
        faults.point("rollup.committed")
    return sum(added.count for added in sums.values()), is_last


def _locked() -> RollUpState:
    states = RollUpState.objects.using(database.using()).select_for_update()
    return states.filter(pk=1).first() or states.get_or_create(pk=1)[0]


def _rows() -> Any:
    return TaskResult.objects.using(database.using()).only(*counting.COLUMNS)


def _still_unfinished(before: list[int], again: list[TaskResult], new: list[int]) -> list[int]:
    if not before and not new:
        return []
    done = {row.pk for row in again}
    there = _rows().filter(pk__in=[*before, *new]).values_list("pk", flat=True)
    return sorted(set(there) - done)[-MAX_UNFINISHED:]


def _add(sums: Mapping[Key, Sum]) -> None:
    """To what is there; nobody else writes roll-ups while the state is locked."""
    if not sums:
        return
    known = {
        Key(row.hour, row.domain, row.queue, row.task, row.outcome): row
        for row in RollUp.objects.using(database.using()).filter(_any_of(sums))
    }
    changed = [_summed(known.get(key), key, added) for key, added in sums.items()]
    RollUp.objects.using(database.using()).bulk_create(
        changed,
        batch_size=500,
        update_conflicts=True,
        unique_fields=["hour", "domain", "queue", "task", "outcome"],
        update_fields=["count", "retries", "waited", "ran", "waits", "runs"],
    )


def _add_to_totals(sums: Mapping[Key, Sum]) -> None:
    """The same by domain, queue and outcome, whatever the hour and the task."""
    added: dict[tuple[str, str, str], Sum] = {}
    for key, one in sums.items():
        added.setdefault((key.domain, key.queue, key.outcome), Sum()).take_in(one)
    totals = RollUpTotal.objects.using(database.using())
    known = {(row.domain, row.queue, row.outcome): row for row in totals.all()} if added else {}
    for (domain, queue, outcome), one in added.items():
        row = known.get((domain, queue, outcome))
        row = row or RollUpTotal(domain=domain, queue=queue, outcome=outcome, count=0)
        row.count += one.count
        row.retries += one.retries
        row.waited += one.waited
        row.ran += one.ran
        row.waits = histogram.stored(histogram.merged([row.waits]) + one.waits)
        row.runs = histogram.stored(histogram.merged([row.runs]) + one.runs)
        row.save(using=database.using())


def _any_of(sums: Mapping[Key, Sum]) -> Q:
    hours = {key.hour for key in sums}
    # Few hours, unless many late rows come together: then their range.
    return Q(hour__in=hours) if len(hours) <= 500 else Q(hour__range=(min(hours), max(hours)))


def _summed(row: RollUp | None, key: Key, added: Sum) -> RollUp:
    before = row or RollUp(**key._asdict(), count=0)
    return RollUp(
        **key._asdict(),
        count=before.count + added.count,
        retries=before.retries + added.retries,
        waited=before.waited + added.waited,
        ran=before.ran + added.ran,
        waits=histogram.stored(histogram.merged([before.waits]) + added.waits),
        runs=histogram.stored(histogram.merged([before.runs]) + added.runs),
    )
