"""What the pipeline did in a week, per domain and task, computed by the database from the stored results.

A result belongs to the week in which its task finished (``date_done``). Run time is ``date_done`` - ``date_started`` of
tasks that succeeded or failed; one that was revoked may never have started, or was cut short, and is only counted.

Percentiles are those of linear interpolation, as in numpy, Excel's PERCENTILE.INC and PostgreSQL's percentile_cont:
of n run times in order, percentile p lies at position (n - 1) * p, counted from 0, between its two neighbours in
proportion. So the median of two is their mean. Rounded to the microsecond.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from celery import states
from django.db.models import Case, Count, DurationField, ExpressionWrapper, F, Min, Q, Sum, Value, When, Window
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, RowNumber
from django.utils.dateparse import parse_datetime
from django_celery_results.models import TaskResult

from reporting.weeks import NoSuchWeek, Week
from routing.domains import Retention, registry
from routing.ledger import lookup
from routing.ledger.cleanup_tables import Cleanup, Removal
from routing.ledger.enqueue import OUTCOMES

UNCLAIMED = ""
"""Stands for the domain of tasks that no domain claims; people read “other”."""
MEDIAN, P95 = Fraction(1, 2), Fraction(19, 20)
_TASK = Coalesce("task_name", Value(""))
_TIMED = Q(status__in=(states.SUCCESS, states.FAILURE), date_started__isnull=False)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How often something finished, with which outcome, and how long it ran in microseconds; None without any run."""

    finished: int = 0
    failed: int = 0
    revoked: int = 0
    median: int | None = None
    p95: int | None = None

    @property
    def failure_rate(self) -> float | None:
        """Failed of finished, from 0 to 1; None if none finished."""
        return self.failed / self.finished if self.finished else None

    @property
    def median_time(self) -> timedelta | None:
        return None if self.median is None else timedelta(microseconds=self.median)

    @property
    def p95_time(self) -> timedelta | None:
        return None if self.p95 is None else timedelta(microseconds=self.p95)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A domain or a task in this week, and in the week before."""

    name: str
    domain: str
    now: Tally = field(default_factory=Tally)
    before: Tally = field(default_factory=Tally)

    @property
    def badness(self) -> tuple[Any, ...]:
        """Sorts the worst first: most failures, then the highest rate, then the slowest, then the busiest."""
        now = self.now
        return (-now.failed, -(now.failure_rate or 0), -(now.p95 or 0), -now.finished, self.name)


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """Tasks of one name, enqueued before the week's end, that had no outcome when the figures were made."""

    name: str
    domain: str
    count: int
    since: datetime


@dataclass(frozen=True)
class Cleanups:
    """The clean-ups that began in a week, and how many rows of each kind they removed."""

    count: int
    removed: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A week's figures, worst first. ``thinned`` names domains that may have pruned results which belong here."""

    week: Week
    built_at: datetime
    domains: tuple[Line, ...] = ()
    tasks: tuple[Line, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    thinned: tuple[str, ...] = ()
    cleanups: Cleanups | None = None
    """None in a report that was kept before they were in it."""

    @property
    def is_over(self) -> bool:
        """False while the week runs: the figures are those so far."""
        return self.built_at >= self.week.ends_at

    @property
    def finished(self) -> int:
        return sum(line.now.finished for line in self.domains)

    @property
    def failed(self) -> int:
        return sum(line.now.failed for line in self.domains)

    @property
    def revoked(self) -> int:
        return sum(line.now.revoked for line in self.domains)

    @property
    def finished_before(self) -> int:
        return sum(line.before.finished for line in self.domains)

    @property
    def waiting(self) -> int:
        return sum(item.count for item in self.unfinished)

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "week": str(self.week),
            "built_at": self.built_at.isoformat(),
            "unfinished": [{**asdict(item), "since": item.since.isoformat()} for item in self.unfinished],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Figures":
        return cls(
            week=Week.parse(stored["week"]),
            built_at=_moment(stored["built_at"]),
            domains=tuple(map(_line, stored["domains"])),
            tasks=tuple(map(_line, stored["tasks"])),
            unfinished=tuple(Unfinished(**{**item, "since": _moment(item["since"])}) for item in stored["unfinished"]),
            thinned=tuple(stored["thinned"]),
            cleanups=Cleanups(**kept) if (kept := stored.get("cleanups")) else None,
        )


def compute(week: Week, *, now: datetime) -> Figures:
    """The week's figures as the stored results tell them at ``now``. Reads only; holds a few numbers for each task.

    Raises NoSuchWeek if it has not begun.
    """
    if now < week.starts_at:
        raise NoSuchWeek(
            f"{week} lies in the future. The running week is {Week.of(now)}, the last one {Week.of(now).previous()}."
        )
    this, before = _of_tasks(week), _of_tasks(week.previous())
    domains = {name: domain_of(name) for name in this.keys() | before.keys()}
    return Figures(
        week=week,
        built_at=now,
        domains=_lines(
            {domain: domain for domain in domains.values()},
            _of_domains(week, this),
            _of_domains(week.previous(), before),
        ),
        tasks=_lines(domains, this, before),
        unfinished=_unfinished(min(week.ends_at, now)),
        thinned=tuple(_thinned(week.previous(), now)),
        cleanups=_cleanups(week),
    )


def domain_of(task_name: str) -> str:
    domain = registry().of_task(task_name)
    return domain.name if domain else UNCLAIMED


def _lines(domains: Mapping[str, str], now: Mapping[str, Tally], before: Mapping[str, Tally]) -> tuple[Line, ...]:
    lines = [
        Line(name=name, domain=domain, now=now.get(name, Tally()), before=before.get(name, Tally()))
        for name, domain in domains.items()
    ]
    return tuple(sorted(lines, key=lambda line: line.badness))


def _of_tasks(week: Week) -> dict[str, Tally]:
    """Task name → tally. Results without a task's name go by the empty one."""
    rows = (
        TaskResult.objects.filter(_finished_in(week))
        .values(name=_TASK)
        .annotate(
            finished=Count("pk"),
            failed=Count("pk", filter=Q(status=states.FAILURE)),
            revoked=Count("pk", filter=Q(status=states.REVOKED)),
        )
        .order_by()
    )
    times = _percentiles(week, _TASK)
    return {name: Tally(**counts, **times.get(name, {})) for counts in rows if (name := counts.pop("name")) is not None}


def _of_domains(week: Week, tasks: Mapping[str, Tally]) -> dict[str, Tally]:
    """Domain → tally. Counts add up from the tasks'; percentiles do not, so the database ranks once more."""
    names: dict[str, list[str]] = defaultdict(list)
    for name in tasks:
        names[domain_of(name)].append(name)
    claimed = [When(task_name__in=of, then=Value(domain)) for domain, of in names.items() if domain]
    times = _percentiles(week, Case(*claimed, default=Value(UNCLAIMED)))
    return {
        domain: Tally(
            finished=sum(tasks[name].finished for name in of),
            failed=sum(tasks[name].failed for name in of),
            revoked=sum(tasks[name].revoked for name in of),
            **times.get(domain, {}),
        )
        for domain, of in names.items()
    }


def _percentiles(week: Week, group: Combinable) -> dict[str, dict[str, int]]:
    """Group → its median and p95. The database sorts; of each group it returns the neighbours of both positions."""
    ranked = (
        TaskResult.objects.filter(_finished_in(week), _TIMED)
        .annotate(group=group, time=ExpressionWrapper(F("date_done") - F("date_started"), DurationField()))
        .annotate(
            index=Window(RowNumber(), partition_by="group", order_by="time") - 1,
            last=Window(Count("pk"), partition_by="group") - 1,
        )
        .annotate(past_median=F("index") - _floor(F("last"), MEDIAN), past_p95=F("index") - _floor(F("last"), P95))
        .filter(Q(past_median__in=(0, 1)) | Q(past_p95__in=(0, 1)))
        .order_by()
    )
    times: dict[str, dict[int, int]] = defaultdict(dict)
    lasts: dict[str, int] = {}
    for name, index, last, time in ranked.values_list("group", "index", "last", "time"):
        # A worker whose clock was set back meanwhile ran for no time, not for less.
        times[name][index] = max(time // timedelta(microseconds=1), 0)
        lasts[name] = last
    return {
        name: {"median": _at(lasts[name] * MEDIAN, times[name]), "p95": _at(lasts[name] * P95, times[name])}
        for name in times
    }


def _floor(last: Combinable, share: Fraction) -> Combinable:
    """Both databases divide whole numbers without rest."""
    return last * share.numerator / share.denominator


def _at(position: Fraction, times: Mapping[int, int]) -> int:
    index = int(position)
    lower = times[index]
    return round(lower + (position - index) * (times.get(index + 1, lower) - lower))


def _finished_in(week: Week) -> Q:
    return Q(status__in=OUTCOMES, date_done__gte=week.starts_at, date_done__lt=week.ends_at)


def _unfinished(before: datetime) -> tuple[Unfinished, ...]:
    """What was enqueued and due before then and has no outcome, most first. What is scheduled for later is not late."""
    in_flight = lookup.messages().filter(created_at__lt=before, due_at__lt=before).values(name=F("task"))
    # An older release kept tasks without an outcome among the results.
    older = TaskResult.objects.filter(~Q(status__in=OUTCOMES), date_created__lt=before).values(name=_TASK)
    found: dict[str, Unfinished] = {}
    for rows, created in ((in_flight, "created_at"), (older, "date_created")):
        for row in rows.annotate(count=Count("pk"), since=Min(created)).order_by():
            _add(found, Unfinished(**row, domain=domain_of(row["name"])))
    return tuple(sorted(found.values(), key=lambda item: (-item.count, item.name)))


def _add(found: dict[str, Unfinished], item: Unfinished) -> None:
    if known := found.get(item.name):
        item = replace(known, count=known.count + item.count, since=min(known.since, item.since))
    found[item.name] = item


def _thinned(week: Week, now: datetime) -> Iterable[str]:
    """Domains that keep results for so short a time that some of this week's may be pruned already."""
    kept = {UNCLAIMED: Retention(), **{domain.name: domain.retention for domain in registry()}}
    for name, retention in kept.items():
        if week.starts_at < now - min(retention.success, retention.failure):
            yield name


def _cleanups(week: Week) -> Cleanups:
    ran = Cleanup.objects.filter(started_at__gte=week.starts_at, started_at__lt=week.ends_at)
    rows = Removal.objects.filter(cleanup__in=ran).order_by("kind").values_list("kind").annotate(Sum("count"))
    return Cleanups(ran.count(), dict(rows))


def _line(stored: Mapping[str, Any]) -> Line:
    return Line(**{**stored, "now": Tally(**stored["now"]), "before": Tally(**stored["before"])})


def _moment(stored: str) -> datetime:
    moment = parse_datetime(stored)
    assert moment is not None  # noqa: S101  (as_json wrote it)
    return moment
