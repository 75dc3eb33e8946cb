"""Due times: of a crontab in a time zone, by the rules of Debian's cron where the clocks change, and of an interval."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import crontab
from cronsim import CronSim

FARTHEST_CHANGE = timedelta(days=1)
"""No zone turns its clocks by more, nor twice in this time."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Crontab:
    """Minute, hour, day of month, month and day of week, as Celery reads them: both days must match.

    Debian's cron, cron(8): what names minute and hour runs once a day, whatever the clocks do. In an hour that they
    skip, it is due when that hour is over; in one that comes twice, the first time. With a star at the start of one of
    the two, it goes by the clock as it stands: nothing in an hour that is not, and twice in one that comes twice.
    """

    fields: str
    zone: str

    def __str__(self) -> str:
        return f"{self.fields}, {self.zone}"

    def after(self, moment: datetime, *, anchor: datetime) -> Iterator[datetime]:
        """The due times after this moment, in order, in UTC."""
        zone = ZoneInfo(self.zone)
        waiting: list[datetime] = []
        last = moment
        for naive in _clock_times(self.fields, _earliest(moment, zone)):
            first = naive.replace(tzinfo=zone).astimezone(UTC)
            for instant in _instants(naive, zone, is_fixed=_is_fixed(self.fields)):
                heappush(waiting, instant)
            # What comes later on the clock is due later, but for the second pass through an hour.
            while waiting and waiting[0] <= first:
                if (due := heappop(waiting)) > last:
                    last = due
                    yield due


@dataclass(frozen=True, slots=True)
class Interval:
    """Each so many seconds, counted from the anchor: it does not drift, and does not depend on when a beat started."""

    seconds: float
    by_the_clock: bool = False
    """Counted from 1970 on, in UTC: each hour is then on the hour."""

    def __str__(self) -> str:
        return f"every {self.seconds:g} s{' by the clock' if self.by_the_clock else ''}"

    def after(self, moment: datetime, *, anchor: datetime) -> Iterator[datetime]:
        """The due times after this moment, in order, in UTC."""
        every, origin = timedelta(seconds=self.seconds), EPOCH if self.by_the_clock else anchor.astimezone(UTC)
        due = origin + ((moment - origin) // every + 1) * every
        while True:
            yield due
            due += every


Timing = Crontab | Interval


@lru_cache(maxsize=10_000)
def next_due(timing: Timing, after: datetime, anchor: datetime) -> datetime | None:
    """The first due time after this one; None if there is none for fifty years."""
    return next(timing.after(after, anchor=anchor), None)


@lru_cache(maxsize=1_000)
def _expression(fields: str) -> str:
    """For cronsim: the sets that Celery reads from the fields, which differ from cron's own in some corners."""
    read: Any = crontab.from_string(fields)
    minute, hour, *_ = fields.split(" ")
    return " ".join(
        [
            _numbers(read.minute, star=minute),
            _numbers(read.hour, star=hour),
            _numbers(read.day_of_month),
            _numbers(read.month_of_year),
            _numbers(read.day_of_week),
        ]
    )


def _numbers(values: set[int], *, star: str = "") -> str:
    numbers = ",".join(map(str, sorted(values)))
    found = re.match(r"\*(/\d+)?", star)
    return f"{found[0]},{numbers}" if found else numbers


@lru_cache(maxsize=1_000)
def _is_fixed(fields: str) -> bool:
    minute, hour, *_ = fields.split(" ")
    return not minute.startswith("*") and not hour.startswith("*")


def _clock_times(fields: str, after: datetime) -> Iterator[datetime]:
    """What a clock without a zone shows when it is due. All that concerns zones is done here, not in cronsim."""
    clock = CronSim(_expression(fields), after)
    # Cron's own rule is "or" where both are given.
    clock.day_and = True
    return clock


def _earliest(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock shows, set back already if it is about to be: the second pass begins before that."""
    soon = moment + FARTHEST_CHANGE
    return min(_naive(moment, zone), _naive(soon, zone) - FARTHEST_CHANGE)


def _naive(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _instants(naive: datetime, zone: ZoneInfo, *, is_fixed: bool) -> list[datetime]:
    """When the clock shows this: once, twice, or never."""
    first, second = (naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return [first]
    if first < second:
        return [first] if is_fixed else [first, second]
    # Skipped: read by the old offset it is after the change, by the new one before it.
    return [_change(second, first, zone)] if is_fixed else []


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second in which the clocks change."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
