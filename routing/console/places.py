"""Lists by places and not by page numbers: however deep a page lies, an index leads to it, and nobody counts."""

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.views import ChangeList

BEFORE, AFTER = "before", "after"
"""In the address: the place behind which the page begins, towards older and towards newer rows."""
COUNTED = 10_000
"""Rows that are counted, where something narrows them; as many can be chosen together."""
_LONGEST_KEY = 18


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
    """``newer``, ``older``: the keys behind which more lies."""

    rows: list[Any]
    newer: int | None = None
    older: int | None = None


class KeyedList(PlacedList):
    """From the newest key to the oldest."""

    def get_results(self, request: HttpRequest) -> None:
        asked = {name: request.GET[name] for name in (BEFORE, AFTER) if name in request.GET}
        keys = {name: int(text) for name, text in asked.items() if _is_key(text)}
        self.is_misplaced = len(keys) < len(asked)
        page = read(self.queryset, before=keys.get(BEFORE), after=keys.get(AFTER), size=self.list_per_page)
        self._number = self._counted(page)
        self.show(page, count=self._number)

    @property
    def count(self) -> str:
        if self._number is None:
            return ""
        words = _("%s or more") if self._number >= COUNTED else _("%s in all")
        return words % f"{self._number:,}"

    def _counted(self, page: Page) -> int | None:
        if page.newer is None and page.older is None:
            return len(page.rows)
        if not (self.query or self.has_active_filters):
            return None
        return int(self.queryset.order_by().values("pk")[:COUNTED].count())


def read(rows: "QuerySet[Any]", *, before: int | None = None, after: int | None = None, size: int) -> Page:
    """Each row that is there all the time is on one page, and on no other."""
    if after is not None:
        found = list(rows.filter(pk__gt=after).order_by("pk")[: size + 1])
        if len(found) > size:
            return Page(found[size - 1 :: -1], found[size - 1].pk, found[0].pk)
        # The newest page, which may have become longer since its first row was an edge.
    elif before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: size + 1])
    older = found[size - 1].pk if len(found) > size else None
    if after is not None or before is None:
        return Page(found[:size], None, older)
    return Page(found[:size], found[0].pk if found else before - 1, older)


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_KEY and int(text) > 0
