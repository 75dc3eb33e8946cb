"""What a stretch of time adds up to, by domain and day and by task, from the roll-ups of its hours.

Hours are those of UTC. Where a day begins within one, as at half past in India, it counts from the beginning of that.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cached_property

from celery import states

from reporting.rollups import histogram
from reporting.rollups.histogram import Histogram
from routing.ledger import database

P95 = Fraction(19, 20)


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

    @cached_property
    def domains(self) -> dict[str, Sum]:
        return {domain: total(sums) for domain, sums in self.days.items()}

    @cached_property
    def whole(self) -> Sum:
        return total(sum_ for sums in self.days.values() for sum_ in sums)


def read(days: Sequence[tuple[datetime, datetime]], *, domains: frozenset[str] | None = None) -> Reading:
    """``days``: begin and end of each, one after the other."""
    found_days: dict[str, list[Sum]] = defaultdict(lambda: [Sum() for _ in days])
    tasks: dict[Task, Sum] = defaultdict(Sum)
    for day, (begin, end) in enumerate(days):
        for (domain, task), raw in _by_task(whole_hour(begin), whole_hour(end), domains).items():
            sum_ = raw.sum()
            found_days[domain][day].add(sum_)
            tasks[Task(domain, task)].add(sum_)
    return Reading(dict(found_days), dict(tasks))


@dataclass
class _Raw:
    """Histograms by the keys as they are stored: a week has a million of those, so nothing is done twice with them."""

    outcomes: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    waits: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)

    def sum(self) -> Sum:
        waits, runs = (histogram.merged([stored]) for stored in (self.waits, self.runs))
        return Sum(Counter(self.outcomes), self.retries, waits, runs)


def _by_task(begin: datetime, end: datetime, domains: frozenset[str] | None) -> dict[tuple[str, str], _Raw]:
    found: dict[tuple[str, str], _Raw] = defaultdict(_Raw)
    for row in _rows(begin, end, domains):
        raw = found[row["domain"], row["task"]]
        raw.outcomes[row["outcome"]] = int(row["total"])
        raw.retries += int(row["retried"])
        _add(raw.waits, json.loads(row["waits"]))
        _add(raw.runs, json.loads(row["runs"]))
    return found


def total(sums: Iterable[Sum]) -> Sum:
    found = Sum()
    for sum_ in sums:
        found.add(sum_)
    return found


def whole_hour(moment: datetime) -> datetime:
    """The hour of UTC that it falls in begins then."""
    return moment - timedelta(seconds=moment.timestamp() % 3600)


def _rows(begin: datetime, end: datetime, domains: frozenset[str] | None) -> list[database.Row]:
    """One for each task and outcome, with the histograms of all hours in one array: so there are few rows to read."""
    together = "string_agg({}::text, ',')" if database.on_postgresql() else "group_concat({}, ',')"
    waits, runs = (f"'[' || {together.format(name)} || ']' AS {name}" for name in ("waits", "runs"))
    names = sorted(domains or ())
    wanted = "" if domains is None else f"AND domain IN ({', '.join(['%s'] * len(names)) or 'NULL'})"
    return database.rows(
        f"SELECT domain, task, outcome, SUM(count) AS total, SUM(retries) AS retried, {waits}, {runs} "  # noqa: S608
        f"FROM reporting_rollup WHERE hour >= %s AND hour < %s {wanted} GROUP BY domain, task, outcome",
        [database.parameter(begin), database.parameter(end), *names],
    )


def _add(to: dict[str, int], stored: list[dict[str, int]]) -> None:
    for one in stored:
        for index, count in one.items():
            to[index] = to.get(index, 0) + count
