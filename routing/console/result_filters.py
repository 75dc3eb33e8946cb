"""How the list of results is narrowed: by domain, state, task and day, without asking the database for the choices."""

from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from routing.console.result_rows import STATES, state_word
from routing.console.searching.terms import NO_DOMAIN, DomainIn, Narrowing, Since, StateIn, TaskIn, Term, Until
from routing.console.searching.words import known_tasks
from routing.domains import registry
from routing.ledger.enqueue import OUTCOMES
from routing.ledger.results import unusual_states


class ResultFilter(admin.SimpleListFilter):
    """Says in terms of the search what it asks for; the list puts both together."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        return None

    def terms(self) -> Iterator[Term | Narrowing]:
        raise NotImplementedError


class DomainFilter(ResultFilter):
    title = _("domain")
    parameter_name = "domain"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*((domain.name, domain.title) for domain in registry()), (NO_DOMAIN, _("None (no domain claims it)"))]

    def terms(self) -> Iterator[Term]:
        value = self.value()
        if value == NO_DOMAIN or value in {domain.name for domain in registry()}:
            yield DomainIn(f"domain:{value}", (value,))


class StateFilter(ResultFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        outcomes = [state for state in STATES.values() if state.value in OUTCOMES]
        # Rows without an outcome are those of an older release; tasks in flight have a page of their own.
        others = [state_word(state) for state in unusual_states() if state not in OUTCOMES]
        return [(state.value, state.word) for state in (*outcomes, *others)]

    def terms(self) -> Iterator[Term]:
        if value := self.value():
            yield StateIn(f"state:{value}", (value,))


class TaskFilter(ResultFilter):
    """Offers the tasks that the code knows; any other name can be given in the URL."""

    title = _("task")
    parameter_name = "task"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = set(known_tasks())
        if asked := request.GET.get(self.parameter_name):
            known.add(asked)
        return [(name, name) for name in sorted(known)]

    def terms(self) -> Iterator[Term]:
        if value := self.value():
            yield TaskIn(f"task:{value}", (value,))


class DayFilter(ResultFilter):
    """The day of enqueueing, in the time zone of the site: the last seven by name, and any other as a date."""

    title = _("day")
    parameter_name = "day"
    template = "console/day_filter.html"
    DAYS = 7

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        today = timezone.localdate()
        days = [today - timedelta(days=ago) for ago in range(self.DAYS)]
        names = [_("Today"), _("Yesterday"), *(date_format(day, "l j F") for day in days[2:])]
        return list(zip((day.isoformat() for day in days), names, strict=True))

    def terms(self) -> Iterator[Term]:
        if day := self._day():
            yield Since(f"since:{day}", _midnight(day))
            yield Until(f"until:{day + timedelta(days=1)}", _midnight(day + timedelta(days=1)))

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        yield from super().choices(changelist)
        # For the template: what the date field shows, and what its form must keep.
        self.chosen = self._day()
        self.others = [(key, each) for key, values in changelist.filter_params.items()
                       if key != self.parameter_name for each in values]  # fmt: skip

    def _day(self) -> date | None:
        try:
            day = date.fromisoformat(self.value() or "")
        except ValueError:
            return None
        # Midnight of the first and last days that Python knows is beyond them in some time zones.
        return day if MINYEAR < day.year < MAXYEAR else None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
