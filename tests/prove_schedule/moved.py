"""The scheduler itself on a clock that is moved: a four-hour outage across a weekly slot, and nights of both kinds."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import crontab

from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import Message, Outbox
from tests.prove_schedule import debian, fires, zones
from tests.prove_schedule.counts import Counts
from tests.schedule.moved_clock import Clock, Release, entry, run

MONDAY = datetime(2027, 1, 4, 9, tzinfo=UTC)
WEEK = timedelta(days=7)
JOBS = ("30 1,2 * * *", "*/30 * * * *", "0 2 * * 0")
POLICIES: dict[str, dict[str, Any]] = {
    "latest": {},
    "all": {"missed": "all"},
    "skip": {"missed": "skip"},
    "deadline": {"deadline": timedelta(hours=2)},
}


def forget() -> None:
    for table in (ScheduleEntry, ScheduleSlot, Message, Outbox):
        table.objects.all().delete()


def outage() -> Counts:
    """Beats are down from 08:50 to 12:50 on Monday; the next Monday two of them run."""
    forget()
    weekly = {name: entry("0 9 * * mon", **more) for name, more in POLICIES.items()}
    clock = Clock(MONDAY - timedelta(hours=2))
    release = Release(clock, **weekly)
    run(release.start())
    clock.now = MONDAY - timedelta(minutes=10)
    run(release.start())
    clock.now = MONDAY + timedelta(hours=3, minutes=50)
    beats = [release.start(), release.start()]
    while clock.now < MONDAY + WEEK + timedelta(hours=1):
        for beat in beats:
            run(beat)
        clock.advance(hours=11, seconds=7)
    for beat in beats:
        run(beat)
    counts, found = Counts(), fires.by_due_time()
    for name in POLICIES:
        first = ["late"] if name in ("skip", "deadline") else []
        # A step of eleven hours is an outage, too.
        counts.add(fires.judge(name, {MONDAY: first, MONDAY + WEEK: first}, found))
    return counts


def stock_outage() -> Counts:
    """Celery's beat knows when it fired last, if its file was saved, and catches the slot up."""
    app = Celery("stock", set_as_current=False)
    now = MONDAY + timedelta(hours=3, minutes=50)
    weekly: Any = crontab(minute="0", hour="9", day_of_week="mon", app=app, nowfun=lambda: now)
    fired = int(weekly.is_due(MONDAY - WEEK).is_due)
    return Counts(slots=1, fired=fired, lost=1 - fired)


def night(name: str, change: datetime, chance: random.Random) -> Counts:
    """Two beats at irregular moments, of which one is started anew now and then, around a change of the clocks."""
    forget()
    zone, start, end = ZoneInfo(name), change - zones.AROUND, change + zones.AROUND
    clock = Clock(start)
    release = Release(clock, **{f"job {number}": _job(line, name) for number, line in enumerate(JOBS)})
    beats = [release.start(), release.start()]
    run(beats[0])
    while clock.now < end:
        clock.now = min(clock.now + timedelta(seconds=chance.randint(60, 5400)), end)
        beats[chance.randrange(2)] = release.start()
        run(chance.choice(beats))
    expected = debian.runs({line: debian.Job.of(line) for line in JOBS}, zone, start, end)
    counts, found = Counts(), fires.by_due_time()
    for number, line in enumerate(JOBS):
        counts.add(fires.judge(f"job {number}", dict.fromkeys(expected[line], ()), found))
    return counts


def _job(line: str, zone: str) -> dict[str, Any]:
    return entry(line, timezone=zone, missed="all")


def nights(chosen: Sequence[tuple[str, datetime]], chance: random.Random) -> Counts:
    counts = Counts()
    for name, change in chosen:
        if not zones.is_correction(change, ZoneInfo(name)):
            counts.add(night(name, change, chance))
    return counts


def choose(*, full: bool, chance: random.Random) -> list[tuple[str, datetime]]:
    """Both nights of 2027 in one zone; with ``full``, in twenty of those whose clocks change."""
    first, last = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    if not full:
        return [("Australia/Lord_Howe", one) for one in zones.changes(ZoneInfo("Australia/Lord_Howe"), first, last)]
    when = {name: list(zones.changes(ZoneInfo(name), first, last)) for name in zones.names()}
    names = chance.sample([name for name, changes in when.items() if changes], 20)
    return [(name, change) for name in names for change in when[name]]
