"""ISO weeks: Monday 00:00 to Monday 00:00 of the project's time zone, so 167 or 169 hours where the clocks change."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import total_ordering

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from reporting.days import Day, midnight
from reporting.periods import NoSuchPeriod, Period

_LABEL = re.compile(r"(\d{4})-?W(\d{2})\Z", re.IGNORECASE)


class NoSuchWeek(NoSuchPeriod):
    """Text that names no week; the message tells the cure."""


@total_ordering
@dataclass(frozen=True)
class Week(Period):
    """A week by its ISO year and number, written ``2026-W46``. The ISO year is not always the year of its days."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> "Week":
        """The week that an aware moment falls in."""
        return cls.of_day(timezone.localdate(moment, timezone.get_default_timezone()))

    @classmethod
    def of_day(cls, day: date) -> "Week":
        return cls(*day.isocalendar()[:2])

    @classmethod
    def parse(cls, text: str) -> "Week":
        """Raises NoSuchWeek."""
        match = _LABEL.match(text.strip())
        if match is None:
            raise NoSuchWeek(f"{text!r} is no week. Write the ISO year and week number, such as 2026-W46.")
        week = cls(int(match[1]), int(match[2]))
        try:
            _ = week.monday, week.next().monday, week.previous().monday
        except (ValueError, OverflowError):
            raise NoSuchWeek(week._why_missing()) from None
        return week

    def _why_missing(self) -> str:
        try:
            last = date(self.year, 12, 28).isocalendar().week
        except ValueError:
            last = 52
        return f"There is no week {self}: the weeks of {self.year:04} are {self.year:04}-W01 to {self.year:04}-W{last}."

    @property
    def monday(self) -> date:
        return date.fromisocalendar(self.year, self.number, 1)

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def starts_at(self) -> datetime:
        return midnight(self.monday)

    @property
    def ends_at(self) -> datetime:
        """The first moment that is not in it any more."""
        return self.next().starts_at

    @property
    def days(self) -> tuple[Day, ...]:
        return tuple(Day(self.monday + timedelta(days=number)) for number in range(7))

    @property
    def words(self) -> str:
        return _("Week %(number)d of %(year)d: %(days)s") % {
            "number": self.number,
            "year": self.year,
            "days": self._days_in_words(),
        }

    def next(self) -> "Week":
        return self.of_day(self.monday + timedelta(days=7))

    def previous(self) -> "Week":
        return self.of_day(self.monday - timedelta(days=7))

    def __lt__(self, other: "Week") -> bool:
        return (self.year, self.number) < (other.year, other.number)

    def __str__(self) -> str:
        return f"{self.year:04}-W{self.number:02}"

    def _days_in_words(self) -> str:
        """Such as “9 to 15 November 2026”."""
        first, last = self.monday, self.sunday
        pattern = "j F Y" if first.year != last.year else "j F" if first.month != last.month else "j"
        return _("%(first)s to %(last)s") % {"first": date_format(first, pattern), "last": date_format(last, "j F Y")}
