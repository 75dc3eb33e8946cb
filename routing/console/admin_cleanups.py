"""Clean-ups in the admin: when each ran, and what it removed."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from routing.console import html
from routing.console.number_words import grouped
from routing.console.period_filters import within
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList
from routing.console.result_rows import Span
from routing.ledger.cleanup_tables import Cleanup, Removal

LONG = 3600
"""Seconds after which one that has not ended will not."""


class RemovedFilter(admin.SimpleListFilter):
    """Those that removed rows of this kind; ``of`` in the address names domains. The list says how many together."""

    title = gettext_lazy("removed")
    parameter_name = "removed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(self.parameter_name)
        return [(asked, asked)] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=removals(request).values("cleanup")) if self.value() else queryset


class OfDomainsFilter(admin.SimpleListFilter):
    title = gettext_lazy("removed of")
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(self.parameter_name)
        return [(asked, asked)] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


def removals(request: HttpRequest) -> QuerySet[Removal]:
    """What the address asks for."""
    found = Removal.objects.filter(kind=request.GET.get(RemovedFilter.parameter_name, ""))
    domains = request.GET.get(OfDomainsFilter.parameter_name)
    return found.filter(domain__in=domains.split(",")) if domains else found


class CleanupList(ReadOnlyList):
    removed: int | None = None
    """How many rows of the kind that is asked for the clean-ups of the list removed, on whatever page."""
    removed_kind = ""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.removed_kind = request.GET.get(RemovedFilter.parameter_name, "")
        if self.removed_kind:
            rows: Any = self.queryset
            found = removals(request).filter(cleanup__in=rows.order_by().values("pk")).aggregate(sum=Sum("count"))
            self.removed = found["sum"] or 0


@admin.register(Cleanup)
class CleanupAdmin(ReadOnlyAdmin):
    icon = "cleaning_services"
    list_display = ("started", "state", "took", "removed")
    ordering = ("-pk",)
    list_filter = (within("started_at", gettext_lazy("started")), RemovedFilter, OfDomainsFilter)
    list_before_template = "console/cleanup_list_head.html"
    fields = ("started", "state", "took", "removed")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cleanup]:
        rows: QuerySet[Cleanup] = super().get_queryset(request)
        return rows.prefetch_related("removals")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ReadOnlyList]:
        return CleanupList

    @admin.display(description=gettext_lazy("started"), ordering="pk")
    def started(self, cleanup: Cleanup) -> SafeString:
        return html.clock(cleanup.started_at)

    @admin.display(description=gettext_lazy("state"))
    def state(self, cleanup: Cleanup) -> str:
        if cleanup.complete:
            return _("done")
        if cleanup.ended_at:
            return _("ended early; the next one goes on")
        age = (timezone.now() - cleanup.started_at).total_seconds()
        return _("was killed; the next one goes on") if age > LONG else _("runs, or was killed")

    @admin.display(description=gettext_lazy("took"))
    def took(self, cleanup: Cleanup) -> SafeString | str:
        return html.length(Span(cleanup.ended_at - cleanup.started_at) if cleanup.ended_at else None)

    @admin.display(description=gettext_lazy("removed"))
    def removed(self, cleanup: Cleanup) -> SafeString | str:
        lines = [(grouped(removal.count), _words(removal)) for removal in cleanup.removals.all()]
        return format_html_join(mark_safe("<br>"), "{} {}", lines) or _("nothing")


def _words(removal: Removal) -> str:
    of: list[Any] = [part for part in (removal.domain, removal.outcome) if part]
    return f"{removal.kind} ({', '.join(of)})" if of else str(removal.kind)
