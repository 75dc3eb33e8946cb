"""The slots of the schedule in the admin: what became of each due time."""

from typing import Any
from urllib.parse import unquote

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from routing.console import html, rights
from routing.console.period_filters import within
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList
from routing.console.schedule_rows import entry_url, slot_rows, task_of
from routing.domains import registry
from routing.ledger import database, slots
from routing.ledger.schedule_tables import ScheduleSlot
from routing.schedule import operating


class EntryFilter(admin.SimpleListFilter):
    title = _("entry")
    parameter_name = "entry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, name) for name in slots.entries().order_by("name").values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(entry=self.value()) if self.value() else queryset


class OthersFilter(admin.SimpleListFilter):
    """All entries but these, as reports lead to them: names that are quoted, with commas between them."""

    title = _("entries left out")
    parameter_name = "but"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(self.parameter_name)
        return [(asked, ", ".join(_names(asked)))] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value()
        return queryset.exclude(entry__in=_names(asked)) if asked else queryset


class OfDomainsFilter(admin.SimpleListFilter):
    """Entries whose tasks are of these domains, with commas, as reports lead to them."""

    title = _("domains")
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(self.parameter_name)
        return [(asked, asked.replace(",", ", "))] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value()
        return queryset.filter(entry__in=_entries(asked.split(","))) if asked else queryset


class KindFilter(admin.SimpleListFilter):
    title = _("what became of it")
    parameter_name = "became"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("due", _("due by the schedule")),
            ("fired", _("fired")),
            ("late", _("fired late")),
            ("missed", _("missed")),
            ("by_hand", _("run by hand")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return {
            "due": queryset.filter(asked_by=""),
            "fired": queryset.filter(missed="", asked_by=""),
            "late": queryset.filter(missed="", asked_by="", decided_at__gt=F("due_at") + operating.LATE_AFTER),
            "missed": queryset.filter(asked_by="").exclude(missed=""),
            "by_hand": queryset.exclude(asked_by=""),
        }.get(self.value() or "", queryset)


class SlotList(ReadOnlyList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        seen = slot_rows(self.result_list, plans=operating.plans(removed=True), at=database.now())
        for slot, row in zip(self.result_list, seen, strict=True):
            slot.seen = row


@admin.register(ScheduleSlot)
class SlotAdmin(ReadOnlyAdmin):
    icon = "event_available"
    list_display = ("due", "entry", "state_label", "why", "task")
    list_filter = (EntryFilter, OfDomainsFilter, OthersFilter, KindFilter, within("due_at", _("due")))
    ordering = ("-due_at",)
    show_facets = admin.ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[SlotList]:
        return SlotList

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduleSlot]:
        rows = slots.slots()
        if rights.domains_of(request.user) is None:
            return rows
        entries = slots.entries().values_list("name", "task")
        return rows.filter(entry__in=[name for name, task in entries if rights.covers_task(request.user, task)])

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        page: TemplateResponse = super().changelist_view(request, {"title": _("Slots"), **(extra_context or {})})
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A slot is a line in its entry's page."""
        slot = self.get_object(request, object_id)
        if slot is not None and self.has_view_permission(request, slot):
            return HttpResponseRedirect(entry_url(slot.entry))
        page: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return page

    @admin.display(description=_("due"), ordering="due_at")
    def due(self, slot: Any) -> SafeString:
        return html.named(slot.due_at, slot.seen.due)

    @admin.display(description=_("state"))
    def state_label(self, slot: Any) -> SafeString:
        return html.state_label(slot.seen.state)

    @admin.display(description=_("note"), empty_value=html.NOTHING)
    def why(self, slot: Any) -> str | None:
        return slot.seen.why or None

    @admin.display(description=_("task"), empty_value=html.NOTHING)
    def task(self, slot: Any) -> SafeString | str | None:
        return task_of(slot.seen)


def _names(asked: str) -> list[str]:
    return [unquote(name) for name in asked.split(",")]


def _entries(domains: list[str]) -> list[str]:
    """Those whose tasks are theirs."""
    entries = slots.entries().values_list("name", "task")
    return [name for name, task in entries if (found := registry().of_task(task)) and found.name in domains]
