"""Lists narrowed to a stretch of time, and to what counts for a domain: so that a report's figure can show its rows.

Nobody is offered these; they are shown where an address asks for them, so that they can be taken away again.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from routing.console.result_filters import ResultFilter
from routing.console.searching.terms import NO_DOMAIN, CountedIn, FinishedIn, Narrowing, Term, TriedAgain

TO = "/"


def between(begin: datetime, end: datetime) -> str:
    """The value of such a filter: from the one moment on, up to just before the other."""
    return f"{begin.isoformat()}{TO}{end.isoformat()}"


class Within(admin.SimpleListFilter):
    parameter_name = "within"
    field: ClassVar[str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(self.parameter_name)
        return [(asked, self._words(asked))] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        asked = self.value()
        if not asked:
            return queryset
        begin, end = _moments(asked)
        return queryset.filter(**{f"{self.field}__gte": begin, f"{self.field}__lt": end})

    def _words(self, asked: str) -> str:
        begin, end = (timezone.localtime(moment) for moment in _moments(asked))
        return _("%(begin)s to %(end)s") % {"begin": _said(begin), "end": _said(end)}


def within(field: str, title: Any, *, parameter: str = Within.parameter_name) -> type[Within]:
    """A filter of rows by this moment of theirs."""
    return type("WithinFilter", (Within,), {"field": field, "title": title, "parameter_name": parameter})


class FinishedInFilter(ResultFilter, Within):
    title, field = _("finished"), "date_done"

    def terms(self) -> Iterator[Term | Narrowing]:
        if asked := self.value():
            yield FinishedIn(f"{self.title} {self._words(asked)}", *_moments(asked))


class CountedInFilter(ResultFilter):
    """Results by the domains, with commas, in whose books they are, also those that have left them since. Others, by
    their task.
    """

    title = _("counted in")
    parameter_name = "counted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(self.parameter_name)
        return [(asked, _("no domain") if asked == NO_DOMAIN else asked.replace(",", ", "))] if asked else []

    def terms(self) -> Iterator[Term | Narrowing]:
        if asked := self.value():
            yield CountedIn(f"{self.title} {asked}", tuple(asked.split(",")))


class TriedAgainFilter(ResultFilter):
    """Results of tasks that were retried; the list says how often together."""

    title = _("tried")
    parameter_name = "tried"
    AGAIN = "again"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(self.AGAIN, _("again"))] if self.parameter_name in request.GET else []

    def terms(self) -> Iterator[Term | Narrowing]:
        if self.value() == self.AGAIN:
            yield TriedAgain(str(_("tried again")))


def _moments(asked: str) -> tuple[datetime, datetime]:
    try:
        begin, end = (parse_datetime(text) for text in asked.split(TO))
    except ValueError as error:
        raise IncorrectLookupParameters from error
    if begin is None or end is None or timezone.is_naive(begin) or timezone.is_naive(end):
        raise IncorrectLookupParameters
    return begin, end


def _said(moment: datetime) -> str:
    return f"{date_format(moment, 'DATE_FORMAT')} {moment:%H:%M}"
