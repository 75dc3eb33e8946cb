"""What a report is: a period, sections in their order, and a sentence that says how it went.

One file in reporting/reports with one such class is a report; docs/reports.md shows how.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from django.utils.translation import get_language

from reporting.documents.document import Document, Part
from reporting.periods import NoSuchPeriod, Period
from reporting.sections.shape import Scope, Section

Progress = Callable[[float, str], None]
"""Told what share of the work is done, from 0 to 1, and what comes now."""


def _untold(_done: float, _what: str) -> None:
    pass


class Report(ABC):
    name: ClassVar[str]
    """In addresses, commands and tables: small letters and hyphens."""
    title: ClassVar[Any]
    """Text; also one that is translated when it is read."""
    sections: ClassVar[Sequence[type[Section]]]

    @abstractmethod
    def period_of(self, moment: datetime) -> Period:
        """The last one that is over then."""

    @abstractmethod
    def parse_period(self, text: str) -> Period:
        """Raises NoSuchPeriod."""

    @abstractmethod
    def conclude(self, scope: Scope, parts: tuple[Part, ...]) -> Document:
        """Put the verdict above what the sections found."""

    def scope(self, period: Period, *, now: datetime, domains: frozenset[str] | None) -> Scope:
        return Scope(period=period, now=now, domains=domains)

    def is_worth_sending(self, document: Document) -> bool:
        """Whether anybody wants to be told. The weekly report always is."""
        return True

    def build(
        self,
        period: Period,
        *,
        now: datetime,
        domains: frozenset[str] | None = None,
        progress: Progress = _untold,
    ) -> Document:
        """Read everything and put it together, in the language that is spoken. Safe to call again.

        It writes nothing but the roll-ups that were behind.

        ``domains``: of these only; None, of all. Raises NoSuchPeriod for a period that has not begun.
        """
        if now < period.starts_at:
            raise NoSuchPeriod(f"{period} lies in the future. The last whole one is {self.period_of(now)}.")
        scope = self.scope(period, now=now, domains=domains)
        parts: list[Part] = []
        for number, kind in enumerate(self.sections):
            progress(number / len(self.sections), str(kind.title))
            section = kind()
            if blocks := tuple(section.blocks(scope)):
                parts.append(Part(name=section.name, title=str(section.title), blocks=blocks))
        progress(1.0, "")
        return replace(self.conclude(scope, tuple(parts)), language=get_language() or "en")
