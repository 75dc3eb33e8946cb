"""When a period's report is due to those of one weekday, hour and time zone: once, whatever the clocks do.

An hour that the clocks skip is the moment after the gap; of one that comes twice, the first counts. Nobody gets a
report before its period is over: where Monday morning comes sooner than the project's week ends, it is due at that end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from reporting.periods import Period
from reporting.subscribing import choosing
from reporting.subscribing.tables import known_zone


@dataclass(frozen=True, order=True)
class Slot:
    time_zone: str
    weekday: int
    hour: int

    def due_after(self, period: Period) -> datetime:
        """Of a report about what is over: in the week, or on the day, of their own calendar that follows it."""
        first_day = timezone.localdate(period.ends_at, timezone.get_default_timezone())
        ahead = (self.weekday - first_day.weekday()) % 7 if is_of_a_week(period) else 0
        return max(self._on(first_day + timedelta(days=ahead)), period.ends_at)

    def due_within(self, period: Period) -> datetime:
        """Of a report about how things are: at the first such hour in it."""
        first_day = timezone.localdate(period.starts_at, timezone.get_default_timezone())
        # One day earlier or later where their calendar is ahead or behind; another where an hour is skipped.
        near = (self._on(first_day + timedelta(days=days)) for days in range(-1, 3))
        return next(moment for moment in near if moment >= period.starts_at)

    def _on(self, day: date) -> datetime:
        # Fold 0 is the first of two, and the offset before a gap; by way of UTC that is the moment after it.
        return datetime.combine(day, time(self.hour), _zone(self.time_zone)).astimezone(UTC)


def is_of_a_week(period: Period) -> bool:
    return period.ends_at - period.starts_at > timedelta(days=2)


def taken(report: str) -> Iterator[Slot]:
    """Those that somebody has who is neither paused nor unsubscribed."""
    mine = choosing.active().filter(report=report).order_by("time_zone", "weekday", "hour")
    for row in mine.values_list("time_zone", "weekday", "hour").distinct():
        yield Slot(*row)


@lru_cache(maxsize=1_000)
def _zone(name: str) -> ZoneInfo:
    try:
        known_zone(name)
    except ValidationError:
        # One that a newer release of the time zones has dropped: rather then than never.
        return ZoneInfo(settings.TIME_ZONE)
    return ZoneInfo(name)
