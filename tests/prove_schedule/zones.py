"""Both nights of each year, and every change of a zone, in every zone: ours beside Debian's cron, and Celery's too."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from celery import Celery
from celery.schedules import crontab

from routing.schedule.timing import EPOCH, Crontab
from tests.prove_schedule import debian
from tests.prove_schedule.counts import Counts

FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
AROUND = timedelta(hours=6)
JOBS = (
    "0 2 * * *",
    "30 1 * * *",
    "0,15,30,45 0-23 * * *",
    "30 2,3 * * *",
    "5 0 * * 0",
    "*/15 * * * *",
    "10 */2 * * *",
    "*/20 2 * * *",
    "0 * * * 1-6",
)
STOCK_JOBS = ("0 2 * * *", "30 1 * * *", "*/15 * * * *")
WELL_KNOWN = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Atlantic/Azores",
    "America/Santiago",
    "Antarctica/Troll",
)
"""A half hour, two hours, midnight: what is most easily got wrong."""


def names() -> list[str]:
    return sorted(name for name in available_timezones() if name not in ("localtime", "Factory"))


def changes(zone: ZoneInfo, first: datetime = FIRST, last: datetime = LAST) -> Iterator[datetime]:
    """The minutes in which its clocks change."""
    day = timedelta(days=1)
    while first < last:
        if first.astimezone(zone).utcoffset() != (first + day).astimezone(zone).utcoffset():
            yield _minute_between(first, first + day, zone)
        first += day


def _minute_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    while after - before > debian.MINUTE:
        middle = debian.minute_of(before + (after - before) / 2)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def distinct(zones: Sequence[str]) -> dict[str, tuple[datetime, ...]]:
    """Of zones with the same offsets throughout one, and its changes."""
    found: dict[Any, str] = {}
    moments: dict[str, tuple[datetime, ...]] = {}
    for name in zones:
        zone = ZoneInfo(name)
        when = tuple(changes(zone))
        key = (FIRST.astimezone(zone).utcoffset(), tuple((one, one.astimezone(zone).utcoffset()) for one in when))
        if found.setdefault(key, name) == name:
            moments[name] = when
    return moments


def is_correction(change: datetime, zone: ZoneInfo) -> bool:
    """Three hours and more, forward: cron takes it for a correction of the clock, and drops what lies in between."""
    minute = debian.MINUTE
    passed = debian._clock(change, zone) - debian._clock(change - minute, zone)
    return passed > debian.CORRECTION * minute


def compare(name: str, change: datetime) -> Counts:
    """The due times around a change, beside the minutes in which cron would run the job."""
    zone, start, end = ZoneInfo(name), change - AROUND, change + AROUND
    expected = debian.runs({line: debian.Job.of(line) for line in JOBS}, zone, start, end)
    counts = Counts()
    for line, minutes in expected.items():
        ours = list(takewhile(lambda due: due <= end, Crontab(line, name).after(start, anchor=EPOCH)))
        if is_correction(change, zone):
            # What cron drops we run when the gap is over: the one difference, and on purpose.
            ours = [due for due in ours if due in minutes or due != change]
        counts.add(_difference(f"{name} {line}", ours, minutes))
    return counts


def _difference(what: str, ours: list[datetime], expected: set[datetime]) -> Counts:
    lost, extra = expected - set(ours), [due for due in ours if due not in expected]
    doubled = len(ours) - len(set(ours)) + len(extra)
    findings = [f"{what}: not due at {due}" for due in sorted(lost)] + [f"{what}: due at {due}" for due in extra]
    return Counts(len(expected), len(set(ours) & expected), 0, len(lost), doubled, findings)


def compare_stock(name: str, change: datetime) -> Counts:
    """What Celery's beat would fire that looks each minute, beside cron."""
    zone, start, end = ZoneInfo(name), change - AROUND, change + AROUND
    expected = debian.runs({line: debian.Job.of(line) for line in STOCK_JOBS}, zone, start, end)
    app = Celery("stock", set_as_current=False)
    app.conf.update(timezone=name, enable_utc=True)
    counts = Counts()
    for line, minutes in expected.items():
        counts.add(_difference(f"{name} {line}", _stock_fires(app, line, zone, start, end), minutes))
    return counts


def _stock_fires(app: Celery, line: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    now = [start]
    schedule: Any = crontab.from_string(line)
    schedule.app, schedule.nowfun = app, lambda: now[0].astimezone(zone)
    last, fired = now[0].astimezone(zone), []
    while now[0] < end:
        now[0] += debian.MINUTE
        if schedule.is_due(last).is_due:
            fired.append(now[0])
            last = now[0].astimezone(zone)
    return fired


def days_between(name: str) -> Counts:
    """Over all the years: a daily job once for each day on the calendar, whatever the clocks do."""
    zone = ZoneInfo(name)
    start, end = datetime(2020, 1, 1, tzinfo=zone), datetime(2036, 1, 1, tzinfo=zone)
    due = list(takewhile(lambda one: one < end, Crontab("30 2 * * *", name).after(start, anchor=EPOCH)))
    days = (end.date() - start.date()).days
    seen = {one.astimezone(zone).date() for one in due}
    lost, doubled = days - len(seen), len(due) - len(seen)
    findings = [f"{name}: {lost} days without, {doubled} with a second one"] if lost or doubled else []
    return Counts(days, len(seen), 0, lost, doubled, findings)


def prove(*, full: bool, chance: random.Random) -> tuple[Counts, Counts, str]:
    """Ours, Celery's, and what was looked at."""
    zones = names() if full else [*WELL_KNOWN, *chance.sample(names(), 3)]
    moments = distinct(zones)
    ours, stock, looked = Counts(), Counts(), 0
    for name, when in moments.items():
        chosen = when if full else chance.sample(when, min(2, len(when)))
        looked += len(chosen)
        for change in chosen:
            ours.add(compare(name, change))
        for change in chosen[:1] if full or name in WELL_KNOWN[:3] else ():
            stock.add(compare_stock(name, change))
    for name in chance.sample(sorted(moments), 20 if full else 1):
        ours.add(days_between(name))
    return ours, stock, f"{len(zones)} zones, {len(moments)} of them different, {looked} changes, 2020 to 2035"
