"""A clean-up: batch after batch, each a transaction with its record, until nothing is left or its time is up."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connections, transaction

from routing import faults
from routing.ledger import tally
from routing.ledger.retention import kinds, ledger_rows, records, results, site_rows, slots
from routing.ledger.retention.kinds import Batch, Counts, Kind
from routing.ledger.retention.pace import Pace

logger = logging.getLogger(__name__)

CANCELLED = "57014"
"""PostgreSQL's code for a statement that took longer than it may."""


@dataclass(frozen=True)
class Pruned:
    """What went; ``complete`` is false if it was stopped, or its time was up, with rows left over."""

    removed: Counts
    complete: bool = True

    def as_json(self) -> dict[str, Any]:
        return {"removed": as_json(self.removed), "total": self.removed.total(), "complete": self.complete}


def as_json(counts: Counts) -> list[dict[str, Any]]:
    return [
        {"kind": what.kind, "domain": what.domain, "outcome": what.outcome, "rows": count}
        for what, count in sorted(counts.items())
        if count
    ]


class _Stopped(Exception):
    """Between two batches."""


def prune(
    *,
    now: datetime,
    budget: timedelta | None = None,
    pace: Pace | None = None,
    stopped: Callable[[], bool] = lambda: False,
    whole: bool = True,
) -> Pruned:
    """Remove everything that is past its retention. Safe to call again, also twice at once.

    It ends after the batch at hand when ``budget`` is used up or ``stopped`` says so, and may die anywhere: the next
    one goes on. Not ``whole``: payloads that an earlier one has been through are not looked for again.
    """
    deadline = time.monotonic() + budget.total_seconds() if budget is not None else float("inf")
    pace, removed, complete = pace or Pace(), Counter[kinds.What](), False
    tally.roll_up()
    since = None if whole else records.last_complete(now)
    record = records.begin(now, since=since)
    try:
        for kind in everything(now, payloads_since=since, counted_until=kinds.counted_until(now)):
            for batch in _batches(kind, record, pace):
                removed += batch.removed
                # A kind of which there is nothing takes no time, and must not keep others from theirs.
                idle = batch.last and not batch.removed
                if not idle and (stopped() or time.monotonic() > deadline):
                    raise _Stopped
        complete = True
    except (_Stopped, SoftTimeLimitExceeded):
        logger.info("The clean-up ends early; the next one goes on where it is")
    records.end(record, complete=complete)
    return _told(Pruned(removed, complete))


def preview(*, now: datetime) -> Counts:
    """Exactly what ``prune`` would remove at this moment."""
    counts: Counts = Counter()
    for kind in everything(now):
        counts += kind.count()
    return counts


def everything(
    now: datetime, *, payloads_since: datetime | None = None, counted_until: datetime | None = None
) -> Iterator[Kind]:
    # Chords first: what became of one is read from its members' results, which may be next to go.
    yield ledger_rows.LostChords(now)
    yield from results.expired(now, payloads_since=payloads_since, counted_until=counted_until)
    yield ledger_rows.DeadLetters(now)
    # Before slots: what goes now is then what a preview counts. An entry goes in the night after its last slot.
    yield slots.Entries(now)
    yield slots.Slots(now)
    yield ledger_rows.UniqueKeys(now)
    yield ledger_rows.Terminations(now)
    yield ledger_rows.Groups(now)
    yield ledger_rows.Jobs(now)
    yield ledger_rows.Notes(now)
    yield from site_rows.expired(now)
    yield from kinds.added(now)
    yield ledger_rows.Cleanups(now)


def _batches(kind: Kind, record: int, pace: Pace) -> Iterator[Batch]:
    """With a rest after each."""
    pace.begin()
    last = False
    while not last:
        began = time.monotonic()
        batch = _batch(kind, record, pace)
        if batch is None:
            pace.took_too_long()
            continue
        if batch.removed:
            faults.point("cleanup.committed")
        # Not what whoever takes it does meanwhile.
        seconds = time.monotonic() - began
        yield batch
        last = batch.last
        rest = pace.took(seconds)
        if not last:
            time.sleep(rest)


def _batch(kind: Kind, record: int, pace: Pace) -> Batch | None:
    """One transaction. None if it would have taken too long: then nothing has happened."""
    try:
        with _transaction(kind.using, within=pace.limit):
            batch = kind.batch(pace.rows)
            records.add(record, batch.removed)
            if batch.removed:
                faults.point("cleanup.removed")
            return batch
    except OperationalError as error:
        if pace.limit is None or getattr(error.__cause__, "sqlstate", "") != CANCELLED:
            raise
        return None


@contextmanager
def _transaction(using: str, *, within: float | None) -> Iterator[None]:
    connection = connections[using]
    # Inside somebody else's transaction the settings would outlive this one.
    alone = connection.vendor == "postgresql" and not connection.in_atomic_block
    with transaction.atomic(using=using):
        if alone:
            with connection.cursor() as cursor:
                # Each window is a range of an index, whatever the statistics say on the morning after.
                cursor.execute(
                    "SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true), "
                    "set_config('statement_timeout', %s, true)",
                    [str(int(1000 * (within or 0)))],
                )
        yield


def _told(pruned: Pruned) -> Pruned:
    counts: Counter[str] = Counter()
    for what, count in pruned.removed.items():
        counts[what.kind] += count
    told = ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "nothing"
    logger.info("Clean-up removed %s%s", told, "" if pruned.complete else "; rows are left over")
    return pruned
