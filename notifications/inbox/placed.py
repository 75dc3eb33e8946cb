"""One page of an inbox by its place, and where its other pages are."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from notifications.inbox.tables import InAppMessage
from routing.console.places import AFTER, BEFORE, ByKey, read

SIZE = 30
UNREAD = "unread"
_ORDER = ByKey()


class PlacedInbox:
    """As ``console/places.html`` has a list."""

    count = ""

    def __init__(self, request: HttpRequest, rows: "QuerySet[InAppMessage]") -> None:
        asked = {name: request.GET[name] for name in (BEFORE, AFTER) if name in request.GET}
        found = {name: place for name, text in asked.items() if (place := _ORDER.read(text)) is not None}
        self.is_misplaced = len(found) < len(asked)
        self.unread = request.GET.get(UNREAD) == "1"
        rows = rows.filter(read_at=None) if self.unread else rows
        self.page = read(rows, _ORDER, before=found.get(BEFORE), after=found.get(AFTER), size=SIZE)
        self.result_list = self.page.rows
        self.asked = f"?{urlencode(known)}" if (known := _known(request.GET)) else ""

    @property
    def newest_url(self) -> str:
        return self._at({})

    @property
    def newer_url(self) -> str:
        return self._at({AFTER: str(self.page.newer)})

    @property
    def older_url(self) -> str:
        return self._at({BEFORE: str(self.page.older)})

    def _at(self, place: Mapping[str, Any]) -> str:
        return address({**place, UNREAD: "1"} if self.unread else place)


def address(asked: Mapping[str, Any]) -> str:
    """Of the page that this asks for."""
    known = _known(asked)
    return reverse("inbox:messages") + (f"?{urlencode(known)}" if known else "")


def _known(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing else of an address is carried on."""
    return {name: asked[name] for name in (BEFORE, AFTER, UNREAD) if name in asked}
