"""What a report is about: a stretch of time with a name that is written the same everywhere, such as ``2026-W46``."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime


class NoSuchPeriod(ValueError):
    """Text that names no period, or one that has not begun; the message tells the cure."""


class Period(ABC):
    """``str()`` of it is its name, which ``Report.parse_period`` reads again."""

    @property
    @abstractmethod
    def starts_at(self) -> datetime: ...

    @property
    @abstractmethod
    def ends_at(self) -> datetime:
        """The first moment that is not in it any more."""

    @property
    @abstractmethod
    def words(self) -> str:
        """For people: “Week 46 of 2026: 9 to 15 November 2026”."""

    @property
    @abstractmethod
    def days(self) -> "Sequence[Period]":
        """Those it consists of; of a day, itself."""

    @abstractmethod
    def previous(self) -> "Period": ...

    def is_over(self, now: datetime) -> bool:
        return now >= self.ends_at
