"""How the list of deliveries is narrowed, so that an index serves it whatever the table's size."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from notifications import by_age, categories, channels
from notifications.delivering import UNKNOWN
from notifications.lanes import lanes
from notifications.tables import Delivery, Notification
from routing.console.result_filters import DayFilter

WINDOW = 200_000
"""What no index serves is looked for among so many of the newest, unless a day is chosen."""
Rows = QuerySet[Any]
State = Delivery.State


class WindowedFilter(admin.SimpleListFilter):
    column: str

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if not self.value():
            return queryset
        return within_window(request, queryset.filter(**{self.column: self.value()}))


class StateFilter(WindowedFilter):
    title = _("state")
    parameter_name = "state"
    column = "state"
    UNDECIDED = "undecided"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*State.choices, (self.UNDECIDED, _("undecided"))]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() == self.UNDECIDED:
            return queryset.filter(state=State.SENDING, reason=UNKNOWN)
        if self.value() in (State.PENDING, State.SENT):
            return super().queryset(request, queryset)
        return queryset.filter(state=self.value()) if self.value() else queryset


class CategoryFilter(WindowedFilter):
    title = _("category")
    parameter_name = "category"
    column = "notification__category"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(category.name, str(category.title)) for category in categories.registry().values()]


class LaneFilter(WindowedFilter):
    title = _("lane")
    parameter_name = "lane"
    column = "notification__lane"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(lane, lane) for lane in lanes()]


class ChannelFilter(WindowedFilter):
    title = _("channel")
    parameter_name = "channel"
    column = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(one.name, one.title) for one in channels.all_of_them()]


class NotificationFilter(admin.SimpleListFilter):
    """Only offered where a link has it."""

    title = _("notification")
    parameter_name = "notification"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(self.parameter_name, "")
        return [(asked, self._name(asked))] if asked else []

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if not self.value():
            return queryset
        found = _uuid(self.value() or "")
        return queryset.filter(notification=found) if found else queryset.none()

    def _name(self, asked: str) -> str:
        found = _uuid(asked)
        row = Notification.objects.filter(pk=found).select_related("template__template").first() if found else None
        return str(row or asked)


class CreatedFilter(DayFilter):
    """The day on which it was asked for."""

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        day = self._day()
        if day is None:
            return queryset
        start = timezone.make_aware(datetime.combine(day, time()))
        end = timezone.make_aware(datetime.combine(day + timedelta(days=1), time()))
        if queryset.model is Delivery:
            return queryset.filter(by_age.between(Delivery, "created_at", start, end))
        return queryset.filter(created_at__gte=start, created_at__lt=end)


def within_window(request: HttpRequest, rows: Rows) -> Rows:
    if not is_windowed(request):
        return rows
    newest = rows.model._base_manager.aggregate(newest=Max("pk"))["newest"] or 0
    return rows.filter(pk__gt=newest - WINDOW)


def is_windowed(request: HttpRequest) -> bool:
    """Whether nothing else keeps the rows few, and a filter is on that no index serves."""
    asked = request.GET
    if asked.get("q", "").strip() or asked.get("day") or asked.get("notification"):
        return False
    windowed = any(asked.get(each) for each in ("category", "lane", "channel"))
    return windowed or asked.get("state") in (State.PENDING, State.SENT)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
