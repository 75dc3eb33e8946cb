"""Lists by places and not by page numbers: however deep a page lies, an index leads to it, and nobody counts."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.views import ChangeList

from routing.console.number_words import grouped

BEFORE, AFTER = "before", "after"
"""In the address: the place behind which the page begins, towards older and towards newer rows."""
COUNTED = 10_000
"""Rows that are counted, where something narrows them; as many can be chosen together."""
_LONGEST_KEY = 18
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = re.compile(r"([0-9]{1,18})-([0-9a-f]{32})", re.ASCII)


class PlacePaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """It has no numbers."""

    template_name = "console/places.html"


class PlacedList(ChangeList):
    page: Any
    """Its ``newer`` and ``older`` are the places behind which more lies, if any does."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> "QuerySet[Any]":
        """All that is asked for, on whatever page."""
        # Another filter or search begins at its newest row.
        for name in (BEFORE, AFTER):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return rows

    def show(self, page: Any, *, count: int | None) -> None:
        """``count``: of what was counted, all of which can be chosen as a whole."""
        self.page = page
        self.result_list = page.rows
        self.result_count = self.full_result_count = len(page.rows) if count is None else count
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = PlacePaginator(page.rows, self.list_per_page)

    @property
    def newest_url(self) -> str:
        return str(self.get_query_string())

    @property
    def newer_url(self) -> str:
        return str(self.get_query_string({AFTER: str(self.page.newer)})) if self.page.newer else ""

    @property
    def older_url(self) -> str:
        return str(self.get_query_string({BEFORE: str(self.page.older)})) if self.page.older else ""


@dataclass(frozen=True)
class Page:
    """``newer``, ``older``: the places behind which more lies."""

    rows: list[Any]
    newer: Any = None
    older: Any = None


class Order(Protocol):
    """What a list goes by; places are written into addresses by ``str``."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The oldest first."""

    def read(self, text: str) -> Any:
        """The place that it names; None where it names none."""

    def of(self, row: Any) -> Any:
        """The row's place."""

    def older(self, place: Any) -> Q: ...

    def newer(self, place: Any) -> Q: ...

    def below(self, place: Any) -> Any:
        """One that has this one among what is newer."""


class ByKey:
    """Rows whose keys are numbers, as they came."""

    columns: tuple[str, ...] = ("pk",)

    def read(self, text: str) -> int | None:
        is_key = text.isascii() and text.isdigit() and len(text) <= _LONGEST_KEY
        return int(text) or None if is_key else None

    def of(self, row: Any) -> int:
        return int(row.pk)

    def older(self, place: int) -> Q:
        return Q(pk__lt=place)

    def newer(self, place: int) -> Q:
        return Q(pk__gt=place)

    def below(self, place: int) -> int:
        return place - 1


@dataclass(frozen=True)
class Moment:
    """A row's time, and its key among those of the same time."""

    at: datetime
    key: UUID

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{self.key.hex}"


@dataclass(frozen=True)
class ByTime:
    """Rows whose keys say nothing, as the index of this column has them."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, "pk")

    def read(self, text: str) -> Moment | None:
        found = _MOMENT.fullmatch(text)
        try:
            return Moment(_EPOCH + timedelta(microseconds=int(found[1])), UUID(found[2])) if found else None
        except OverflowError:
            return None

    def of(self, row: Any) -> Moment:
        return Moment(getattr(row, self.column), row.pk)

    # A range that the index knows, and of its first moment the rows that are not behind us.

    def older(self, place: Moment) -> Q:
        within = Q(**{f"{self.column}__lte": place.at})
        return within & (Q(**{f"{self.column}__lt": place.at}) | Q(pk__lt=place.key))

    def newer(self, place: Moment) -> Q:
        within = Q(**{f"{self.column}__gte": place.at})
        return within & (Q(**{f"{self.column}__gt": place.at}) | Q(pk__gt=place.key))

    def below(self, place: Moment) -> Moment:
        return Moment(place.at, UUID(int=max(place.key.int - 1, 0)))


class KeyedList(PlacedList):
    """From the newest to the oldest."""

    order: Order = ByKey()

    def get_results(self, request: HttpRequest) -> None:
        asked = {name: request.GET[name] for name in (BEFORE, AFTER) if name in request.GET}
        found = {name: place for name, text in asked.items() if (place := self.order.read(text)) is not None}
        self.is_misplaced = len(found) < len(asked)
        page = read(
            self.queryset, self.order, before=found.get(BEFORE), after=found.get(AFTER), size=self.list_per_page
        )
        self._number = self._counted(page)
        self.show(page, count=self._number)

    @property
    def count(self) -> str:
        if self._number is None:
            return ""
        words = _("%s or more") if self._number >= COUNTED else _("%s in all")
        return words % grouped(self._number)

    def _counted(self, page: Page) -> int | None:
        if page.newer is None and page.older is None:
            return len(page.rows)
        if not (self.query or self.has_active_filters):
            return None
        return int(self.queryset.order_by().values("pk")[:COUNTED].count())


def read(rows: "QuerySet[Any]", order: Order, *, before: Any = None, after: Any = None, size: int) -> Page:
    """Each row that is there all the time is on one page, and on no other."""
    if after is not None:
        found = list(rows.filter(order.newer(after)).order_by(*order.columns)[: size + 1])
        if len(found) > size:
            return Page(found[size - 1 :: -1], order.of(found[size - 1]), order.of(found[0]))
        # The newest page, which may have become longer since its first row was an edge.
    elif before is not None:
        rows = rows.filter(order.older(before))
    found = list(rows.order_by(*(f"-{column}" for column in order.columns))[: size + 1])
    older = order.of(found[size - 1]) if len(found) > size else None
    if after is not None or before is None:
        return Page(found[:size], None, older)
    return Page(found[:size], order.of(found[0]) if found else order.below(before), older)
