"""What a section is: a name, a title, and what it has to say about a period; nothing, and it is left out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

from django.db.models import Q

from reporting.documents.blocks import Block
from reporting.documents.cells import Count, Tone
from reporting.periods import Period
from reporting.rollups import gathering, reading
from reporting.rollups.reading import Reading
from reporting.sections import links
from reporting.sections.links import Stretch
from routing.console import survey
from routing.console.survey import Survey
from routing.domains import registry

CATCH_UP = timedelta(minutes=3)
"""What a report gives the roll-ups to count what they have not counted yet."""

PATIENCE = 10.0
"""Seconds for broker and database to answer: nobody waits for a mail."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a report is about, and what its sections have in common. ``domains`` None: all of them."""

    period: Period
    now: datetime
    domains: frozenset[str] | None = None

    @cached_property
    def counted_until(self) -> datetime | None:
        """All results recorded by then are in the roll-ups, which are brought up to date first."""
        return gathering.roll_up(budget=CATCH_UP).complete_until

    @cached_property
    def this(self) -> Reading:
        return self._read(*((day.starts_at, day.ends_at) for day in self.period.days))

    @cached_property
    def before(self) -> Reading:
        """As one day: nothing is told of its days."""
        period = self.period.previous()
        return self._read((period.starts_at, period.ends_at))

    @cached_property
    def stretch(self) -> Stretch:
        return _whole_hours(self.period)

    @cached_property
    def stretch_before(self) -> Stretch:
        return _whole_hours(self.period.previous())

    @cached_property
    def survey(self) -> Survey:
        """How the pipeline is at this moment."""
        return survey.take(seconds=PATIENCE)

    @property
    def is_over(self) -> bool:
        return self.period.is_over(self.now)

    def is_about(self, domain: str) -> bool:
        return self.domains is None or domain in self.domains

    def in_domains(self, field: str = "domain") -> Q:
        return Q() if self.domains is None else Q(**{f"{field}__in": self.domains})

    def counted(self, value: int, *, domain: str, tone: str = "", **chosen: Any) -> Count:
        """A figure of this period's results, with the page that shows them as long as they are kept.

        ``chosen``: the task, the outcome, and tried_again, as links.results has them.
        """
        return self._counted(self.stretch, value, domain, tone, chosen)

    def counted_before(self, value: int, *, domain: str, **chosen: Any) -> Count:
        """The same of the period before."""
        return self._counted(self.stretch_before, value, domain, Tone.QUIET, chosen)

    def is_pruned(self, stretch: Stretch, kept: timedelta) -> bool:
        return stretch[0] < self.now - kept

    def keeps_results(self, outcome: str = "") -> bool:
        """Whether all of this period's results are kept still: those of each domain that the report is about."""
        names = self.domains if self.domains is not None else [domain.name for domain in registry()]
        return not self.is_pruned(self.stretch, min(links.kept_for(name, outcome=outcome) for name in names))

    def _counted(self, stretch: Stretch, value: int, domain: str, tone: str, chosen: dict[str, Any]) -> Count:
        pruned = self.is_pruned(stretch, links.kept_for(domain, outcome=chosen.get("outcome", "")))
        link = "" if pruned else links.results(stretch, domain=domain, **chosen)
        return Count(value=value, link=link, is_pruned=pruned and value > 0, tone=tone)

    def _read(self, *days: Stretch) -> Reading:
        _ = self.counted_until
        return reading.read(days, domains=self.domains)


class Section(ABC):
    name: ClassVar[str]
    title: ClassVar[Any]
    """Text; also one that is translated when it is read."""

    @abstractmethod
    def blocks(self, scope: Scope) -> Iterable[Block]: ...


def _whole_hours(period: Period) -> Stretch:
    return reading.whole_hour(period.starts_at), reading.whole_hour(period.ends_at)
