"""What a stretch of time adds up to, by domain and day and by task, from the roll-ups of its hours.

Hours are those of UTC. Where a day begins within one, as at half past in India, it counts from the beginning of that.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from celery import states
from django.db.models import Q

from reporting.rollups import histogram
from reporting.rollups.histogram import Histogram
from reporting.rollups.tables import RollUp
from routing.ledger import database

P95 = Fraction(19, 20)
COLUMNS = ("hour", "domain", "task", "outcome", "count", "retries", "waits", "runs")


@dataclass
class Sum:
    """How many tasks ended how, how often they were retried, and how long they waited and ran."""

    outcomes: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    waits: Histogram = field(default_factory=Counter)
    runs: Histogram = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return self.outcomes.total()

    @property
    def failed(self) -> int:
        return self.outcomes[states.FAILURE]

    @property
    def revoked(self) -> int:
        return self.outcomes[states.REVOKED]

    @property
    def judged(self) -> int:
        """Those that ended by themselves: what was cancelled, or came too late, neither succeeded nor failed."""
        return self.count - self.revoked

    @property
    def success(self) -> float | None:
        """Share of those, from 0 to 1."""
        return 1 - self.failed / self.judged if self.judged else None

    @property
    def p95_wait(self) -> timedelta | None:
        return histogram.percentile(self.waits, P95)

    @property
    def p95_run(self) -> timedelta | None:
        return histogram.percentile(self.runs, P95)

    def add(self, other: "Sum") -> None:
        self.outcomes.update(other.outcomes)
        self.retries += other.retries
        self.waits.update(other.waits)
        self.runs.update(other.runs)


@dataclass(frozen=True, order=True)
class Task:
    domain: str
    name: str


@dataclass(frozen=True)
class Reading:
    """``days`` has, for each domain, a sum for each of the days that were asked for."""

    days: dict[str, list[Sum]]
    tasks: dict[Task, Sum]

    @property
    def domains(self) -> dict[str, Sum]:
        return {domain: total(sums) for domain, sums in self.days.items()}

    @property
    def whole(self) -> Sum:
        return total(sum_ for sums in self.days.values() for sum_ in sums)


def read(days: Sequence[tuple[datetime, datetime]], *, domains: frozenset[str] | None = None) -> Reading:
    """``days``: begin and end of each, one after the other."""
    starts = [whole_hour(begin) for begin, _ in days]
    ends_at = whole_hour(days[-1][1])
    found_days: dict[str, list[Sum]] = defaultdict(lambda: [Sum() for _ in days])
    tasks: dict[Task, Sum] = defaultdict(Sum)
    for hour, domain, task, outcome, count, retries, waits, runs in _rows(starts[0], ends_at, domains):
        day = bisect_right(starts, hour) - 1
        for sum_ in (found_days[domain][day], tasks[Task(domain, task)]):
            sum_.outcomes[outcome] += count
            sum_.retries += retries
            _add(sum_.waits, waits)
            _add(sum_.runs, runs)
    return Reading(dict(found_days), dict(tasks))


def total(sums: Iterable[Sum]) -> Sum:
    found = Sum()
    for sum_ in sums:
        found.add(sum_)
    return found


def whole_hour(moment: datetime) -> datetime:
    """The hour of UTC that it falls in begins then."""
    return moment - timedelta(seconds=moment.timestamp() % 3600)


def _rows(begin: datetime, end: datetime, domains: frozenset[str] | None) -> Iterator[tuple[Any, ...]]:
    wanted = Q() if domains is None else Q(domain__in=domains)
    rows = RollUp.objects.using(database.using()).filter(wanted, hour__gte=begin, hour__lt=end)
    yield from rows.values_list(*COLUMNS).iterator(chunk_size=2_000)


def _add(to: Histogram, stored: dict[str, int]) -> None:
    for index, count in stored.items():
        to[int(index)] += count
