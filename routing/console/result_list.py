"""The list of results: what the filters and the search ask for, one page of it, and how much there is."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django_celery_results.models import TaskResult

from routing.console import everything, html, rights
from routing.console.found_in_flight import Found, find
from routing.console.places import AFTER, BEFORE, PlacedList
from routing.console.searching import counts, finished, pages
from routing.console.searching.counts import Count
from routing.console.searching.limit import TookTooLong, time_limit
from routing.console.searching.pages import Page, Place, Reading
from routing.console.searching.parser import parse
from routing.console.searching.permitted import permitted
from routing.console.searching.terms import DomainIn, Mistake, Narrowing, Search, Term, TriedAgain
from routing.console.searching.words import WORDS, Word, completions, vocabulary
from routing.ledger.results import attempt, read_meta, task_names

SECONDS = 2.0
"""For a page of a search with terms that no index serves."""
STOPPED_AFTER = 5.0
"""Any statement."""
COUNTED_FOR = 1.0


@dataclass(frozen=True)
class Limits:
    """What the page says about its time."""

    unserved: str
    stopped: bool
    cut: SafeString | str


class ResultList(PlacedList):
    search: Search
    asked: tuple[Term | Narrowing, ...]
    page: Page
    count: Count | None
    stopped = False

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> "QuerySet[TaskResult]":
        """All that is asked for, on whatever page; nothing where the search cannot be read."""
        rows: QuerySet[TaskResult] = super().get_queryset(request, exclude_parameters)
        self.vocabulary = vocabulary()
        found = parse(self.query, known=self.vocabulary, now=timezone.now())
        self.search = permitted(found, payloads=rights.sees_payloads(request.user))
        self.narrowed = [term for spec in self.filter_specs for term in spec.terms()]
        self.limits_of_user = rights.domains_of(request.user)
        if self.limits_of_user is not None:
            # The rows are theirs already; this has the indexes lead to them.
            self.narrowed.append(DomainIn("", tuple(sorted(self.limits_of_user))))
        self.asked = (*self.narrowed, *self.search.terms)
        self.question = finished.question(self.asked, names=_once(task_names))
        return rows.filter(self.question.whole) if not self.search.mistakes else rows.none()

    def get_results(self, request: HttpRequest) -> None:
        self.everything = everything.links(request, everything.OF_RESULTS)
        self.misplaced = self._misplaced(request)
        self.page = Page([]) if self.search.mistakes else self._read(request)
        self.count = self._counted()
        whole = self.page.newer is None and self.page.older is None
        self.show(self.page, count=self.count.number if self.count and self.count.exact and not whole else None)

    def _read(self, request: HttpRequest) -> Page:
        place, towards_older = _asked_place(request)
        reading = Reading(self.root_queryset, self.question, place, towards_older)
        try:
            with time_limit(STOPPED_AFTER):
                return pages.read(reading, size=self.list_per_page, seconds=SECONDS)
        except TookTooLong:
            self.stopped = True
            return Page([])

    def _counted(self) -> Count | None:
        if self.search.mistakes or self.stopped:
            return None
        if self.page.newer is None and self.page.older is None:
            return Count(len(self.page.rows))
        try:
            with time_limit(COUNTED_FOR):
                return counts.count(self.root_queryset, self.question)
        except TookTooLong:
            return None

    def _misplaced(self, request: HttpRequest) -> list[Mistake]:
        """In the address; the page begins at the newest row then."""
        given = [(name, request.GET[name]) for name in (BEFORE, AFTER) if name in request.GET]
        return [
            Mistake(f"{name}={text[:40]}", _("The address names no place in the list."), _("Here are the newest."))
            for name, text in given
            if Place.read(text) is None
        ]

    # --- For the templates

    @cached_property
    def retries(self) -> int | None:
        """How often those were tried again together, where the list is of such ones; None where that takes too long."""
        if self.mistakes or self.stopped or not any(isinstance(term, TriedAgain) for term in self.narrowed):
            return None
        rows = self.root_queryset.filter(self.question.whole).order_by()
        try:
            with time_limit(COUNTED_FOR):
                return sum(attempt(read_meta(row)) - 1 for row in rows.only("meta").iterator())
        except TookTooLong:
            return None

    @property
    def mistakes(self) -> list[Mistake]:
        return [*self.search.mistakes, *self.misplaced]

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.search.terms if not self.search.mistakes else ()

    @cached_property
    def in_flight(self) -> Found | None:
        """On the first page of a search."""
        shown = self.terms and not self.page.newer
        return find(self.terms, self.query, domains=self.limits_of_user) if shown else None

    @property
    def limits(self) -> Limits:
        return Limits(
            unserved=", ".join(each.word for each in self.question.unserved) if not self.search.mistakes else "",
            stopped=self.stopped,
            cut=html.clock(self.page.cut.at) if self.page.cut else "",
        )

    @property
    def seconds(self) -> int:
        return round(STOPPED_AFTER if self.stopped else SECONDS)

    @property
    def words(self) -> Iterable[Word]:
        return WORDS.values()

    @cached_property
    def completions(self) -> list[str]:
        return completions(self.vocabulary)


def _asked_place(request: HttpRequest) -> tuple[Place | None, bool]:
    """Where the page begins, and whether it goes on towards older rows."""
    if after := Place.read(request.GET.get(AFTER, "")):
        return after, False
    return Place.read(request.GET.get(BEFORE, "")), True


def _once(ask: Any) -> Any:
    """The same answer for as long as the page takes."""
    answers: list[Any] = []

    def answer() -> Any:
        if not answers:
            answers.append(ask())
        return answers[0]

    return answer
