"""How the list of results is narrowed: by domain, state, task and day, without asking the database for the choices."""

import re
from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR, date, datetime, time, timedelta
from typing import Any

from celery import current_app
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import TaskResult

from routing.console.result_rows import STATES, state_word
from routing.domains import Domain, registry
from routing.ledger.enqueue import OUTCOMES
from routing.router import BUILT_IN

NO_DOMAIN = "-"
Results = QuerySet[TaskResult]


class DomainFilter(admin.SimpleListFilter):
    title = _("domain")
    parameter_name = "domain"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*((domain.name, domain.title) for domain in registry()), (NO_DOMAIN, _("None (no domain claims it)"))]

    def queryset(self, request: HttpRequest, queryset: Results) -> Results:
        if self.value() == NO_DOMAIN:
            return queryset.exclude(_any(rows_of(domain) for domain in registry()))
        chosen = next((domain for domain in registry() if domain.name == self.value()), None)
        return queryset.filter(rows_of(chosen)) if chosen else queryset


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        outcomes = [state for state in STATES.values() if state.value in OUTCOMES]
        # Rows without an outcome are those of an older release; tasks in flight have a page of their own.
        others = TaskResult.objects.exclude(status__in=OUTCOMES).order_by("status").values_list("status", flat=True)
        return [(state.value, state.word) for state in (*outcomes, *map(state_word, others.distinct()))]

    def queryset(self, request: HttpRequest, queryset: Results) -> Results:
        return queryset.filter(status=self.value()) if self.value() else queryset


class TaskFilter(admin.SimpleListFilter):
    """Offers the tasks that the code knows; any other name can be given in the URL."""

    title = _("task")
    parameter_name = "task"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        # The web process itself runs no task, so nothing else may have imported them.
        autodiscover_modules("tasks")
        known = {name for name in current_app.tasks if not name.startswith(BUILT_IN)}
        if asked := request.GET.get(self.parameter_name):
            known.add(asked)
        return [(name, name) for name in sorted(known)]

    def queryset(self, request: HttpRequest, queryset: Results) -> Results:
        return queryset.filter(task_name=self.value()) if self.value() else queryset


class DayFilter(admin.SimpleListFilter):
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

    def queryset(self, request: HttpRequest, queryset: Results) -> Results:
        day = self._day()
        if day is None:
            return queryset
        return queryset.filter(date_created__gte=_midnight(day), date_created__lt=_midnight(day + timedelta(days=1)))

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


def rows_of(domain: Domain) -> Q:
    """The rows whose tasks this domain claims, and Celery's built-ins that went to its queues."""
    claimed = _any(_named(pattern) for pattern in domain.tasks)
    built_in = Q(task_name__startswith=BUILT_IN) & ~_any(_named(p) for each in registry() for p in each.tasks)
    # As the result backend writes it. Only rows of built-ins are searched for it.
    here = _any(Q(meta__contains=f'"queue": "{queue}"') for queue in domain.queues)
    return claimed | (built_in & here)


def _named(pattern: str) -> Q:
    """A domain's pattern as a condition that an index can help with, where it has one of the usual two shapes."""
    if not re.search(r"[*?\[]", pattern):
        return Q(task_name=pattern)
    if re.fullmatch(r"[^*?\[]+\*", pattern):
        return Q(task_name__startswith=pattern[:-1])
    return Q(task_name__regex=_regular_expression(pattern))


def _regular_expression(pattern: str) -> str:
    """fnmatch's language in the one that Python, SQLite and PostgreSQL have in common."""
    parts = re.findall(r"\[!?\]?[^\]]*\]|.", pattern)
    return f"^{''.join(_part(part) for part in parts)}$"


def _part(part: str) -> str:
    if len(part) > 1:
        return re.sub(r"^\[!", "[^", part)
    return {"*": ".*", "?": "."}.get(part) or re.escape(part)


def _any(conditions: Iterator[Q]) -> Q:
    found = Q(pk__in=[])
    for condition in conditions:
        found |= condition
    return found


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
