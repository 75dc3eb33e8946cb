"""Calendar days of the project's time zone, so of 23 or 25 hours where the clocks change; written ``2026-11-16``."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from reporting.periods import NoSuchPeriod, Period


class NoSuchDay(NoSuchPeriod):
    """Text that names no day; the message tells the cure."""


@dataclass(frozen=True, order=True)
class Day(Period):
    date: date

    @classmethod
    def of(cls, moment: datetime) -> "Day":
        """The day that an aware moment falls in."""
        return cls(timezone.localdate(moment, timezone.get_default_timezone()))

    @classmethod
    def parse(cls, text: str) -> "Day":
        """Raises NoSuchDay."""
        try:
            day = cls(datetime.strptime(text.strip(), "%Y-%m-%d").date())  # noqa: DTZ007  (a day, not a moment)
            _ = day.ends_at, day.previous().starts_at
        except (ValueError, OverflowError):
            raise NoSuchDay(f"{text!r} is no day. Write year, month and day, such as 2026-11-16.") from None
        return day

    @property
    def starts_at(self) -> datetime:
        return midnight(self.date)

    @property
    def ends_at(self) -> datetime:
        return midnight(self.date + timedelta(days=1))

    @property
    def words(self) -> str:
        return _("%(weekday)s, %(day)s") % {
            "weekday": date_format(self.date, "l"),
            "day": date_format(self.date, "j F Y"),
        }

    @property
    def days(self) -> tuple["Day", ...]:
        return (self,)

    def previous(self) -> "Day":
        return Day(self.date - timedelta(days=1))

    def __str__(self) -> str:
        return self.date.isoformat()


def midnight(day: date) -> datetime:
    # Where a clock change skips midnight, this is the first moment of the day; where it repeats it, the earlier one.
    return datetime.combine(day, time.min, timezone.get_default_timezone())
