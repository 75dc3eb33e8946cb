"""Counts results: what each of them adds to the roll-up of its hour."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from celery import states
from django.utils.dateparse import parse_datetime
from django_celery_results.models import TaskResult

from reporting.rollups import histogram
from reporting.rollups.histogram import Histogram
from routing.domains import registry
from routing.ledger import results
from routing.ledger.enqueue import OUTCOMES
from routing.ledger.results import read_meta

COLUMNS = ("id", "task_name", "status", "meta", "date_created", "date_started", "date_done")
_RAN = (states.SUCCESS, states.FAILURE)
_MICROSECOND = timedelta(microseconds=1)


class Key(NamedTuple):
    hour: datetime
    domain: str
    queue: str
    task: str
    outcome: str


@dataclass
class Sum:
    count: int = 0
    retries: int = 0
    waited: int = 0
    ran: int = 0
    waits: Histogram = field(default_factory=Counter)
    runs: Histogram = field(default_factory=Counter)

    def add(self, row: TaskResult, meta: dict[str, Any]) -> None:
        attempt = results.attempt(meta)
        self.count += 1
        self.retries += attempt - 1
        if row.date_started is None or row.status not in _RAN:
            # What was revoked never started, or was cut short.
            return
        ran = _microseconds(row.date_started, row.date_done)
        self.ran += ran
        self.runs[histogram.bucket(ran)] += 1
        if attempt == 1:
            # A retry waits by intent: only the first run tells how long the queue was.
            waited = _microseconds(_due_at(meta) or row.date_created, row.date_started)
            self.waited += waited
            self.waits[histogram.bucket(waited)] += 1

    def take_in(self, other: "Sum") -> None:
        self.count += other.count
        self.retries += other.retries
        self.waited += other.waited
        self.ran += other.ran
        self.waits.update(other.waits)
        self.runs.update(other.runs)


def count(rows: Iterable[TaskResult]) -> tuple[dict[Key, Sum], list[int]]:
    """What they add up to, and the keys of those that have no outcome yet."""
    sums: dict[Key, Sum] = {}
    unfinished: list[int] = []
    for row in rows:
        if row.status not in OUTCOMES:
            unfinished.append(row.pk)
            continue
        meta = read_meta(row)
        sums.setdefault(_key(row, meta), Sum()).add(row, meta)
    return sums, unfinished


def _key(row: TaskResult, meta: dict[str, Any]) -> Key:
    name = row.task_name or ""
    domain = meta.get("domain")
    if not isinstance(domain, str):
        found = registry().of_task(name)
        domain = found.name if found else ""
    queue = meta.get("queue")
    hour = row.date_done.replace(minute=0, second=0, microsecond=0)
    return Key(hour, domain[:40], queue[:100] if isinstance(queue, str) else "", name, row.status)


def _due_at(meta: dict[str, Any]) -> datetime | None:
    """When a task that was delayed on purpose was due; what other programs wrote there breaks nothing."""
    moment = meta.get("due_at")
    try:
        found = parse_datetime(moment) if isinstance(moment, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None


def _microseconds(begin: datetime, end: datetime) -> int:
    """A clock that was set back meanwhile took no time, not less."""
    return max((end - begin) // _MICROSECOND, 0)
