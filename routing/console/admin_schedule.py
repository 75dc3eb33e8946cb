"""The schedule in the admin: what is due next, what became of the last due times, and what can be done."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from routing.console import html, lives, rights, schedule_deeds
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList
from routing.console.schedule_deeds import DEEDS, Deed
from routing.console.schedule_page import entry_page
from routing.console.schedule_rows import EntryRow, entry_rows, entry_url
from routing.console.schedule_verdict import schedule_verdict
from routing.console.sight import values_for
from routing.ledger import slots
from routing.ledger.schedule_tables import ScheduleEntry
from routing.schedule import operating


class RemovedFilter(admin.SimpleListFilter):
    """By default, what is in the code."""

    title = _("entries")
    parameter_name = "removed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("removed from the code"))]

    def choices(self, changelist: Any) -> Any:
        all_of_them, *others = super().choices(changelist)
        return [{**all_of_them, "display": _("in the code")}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(removed_at__isnull=self.value() != "yes")


class EntryList(ReadOnlyList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Plans are made of all at once, and the verdict is about all of them too.
        seen = lives.look()
        self.verdict = schedule_verdict(seen)
        shown = {row.pk for row in self.result_list}
        plans = [plan for plan in operating.plans(removed=True) if plan.entry.pk in shown]
        rows = {row.name: row for row in entry_rows(seen.schedule, plans=plans)}
        for entry in self.result_list:
            entry.seen = rows[entry.pk]


@admin.register(ScheduleEntry)
class ScheduleAdmin(ReadOnlyAdmin):
    icon = "schedule"
    menu_title = _("Schedule")
    list_display = ("entry", "state_label", "task", "rhythm", "next_due", "last")
    list_filter = (RemovedFilter,)
    search_fields = ("name", "task")
    search_help_text = _("Name or task")
    ordering = ("name",)
    show_facets = admin.ShowFacets.NEVER
    list_before_template = "console/schedule_list_head.html"
    change_form_template = "console/schedule_entry.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EntryList]:
        return EntryList

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduleEntry]:
        rows = slots.entries()
        if rights.domains_of(request.user) is None:
            return rows
        tasks = set(rows.values_list("task", flat=True))
        return rows.filter(task__in=[task for task in tasks if rights.covers_task(request.user, task)])

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> ScheduleEntry | None:
        # PostgreSQL takes no NUL, not even to look for.
        found: ScheduleEntry | None = super().get_object(request, object_id.replace("\0", ""), from_field)
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        page: TemplateResponse = super().changelist_view(request, {"title": _("Schedule"), **(extra_context or {})})
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self._row(request, object_id)
        if row is not None and self.has_view_permission(request):
            entry = entry_page(row)
            extra_context = {
                "page": replace(entry, values=values_for(request.user, entry.values)),
                "title": row.name,
                "subtitle": row.plan.entry.task,
                "deeds": [(deed, entry_url(row.name, deed.verb)) for deed in schedule_deeds.open_to(request, row)],
                "slots_url": slots_url(row.name),
                **(extra_context or {}),
            }
        page: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return page

    def get_urls(self) -> list[Any]:
        own = [
            path(
                f"<path:object_id>/{deed.verb}/",
                self.admin_site.admin_view(self._view_of(deed)),
                name=f"routing_scheduleentry_{deed.verb}",
            )
            for deed in DEEDS
        ]
        return [*own, *super().get_urls()]

    def _view_of(self, deed: Deed) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            row = self._row(request, object_id)
            if row is None:
                missing: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
                return missing
            return schedule_deeds.make(self, request, deed, row, back=entry_url(row.name))

        return view

    def _row(self, request: HttpRequest, object_id: str) -> EntryRow | None:
        entry = self.get_object(request, unquote(object_id))
        if entry is None:
            return None
        life = lives.look().schedule
        return next(iter(entry_rows(life, plans=[operating.plan(entry.pk)])))

    @admin.display(description=_("entry"), ordering="name")
    def entry(self, row: ScheduleEntry) -> str:
        return row.name

    @admin.display(description=_("state"))
    def state_label(self, row: Any) -> SafeString:
        return html.state_label(row.seen.state)

    @admin.display(description=_("due"))
    def rhythm(self, row: Any) -> str:
        return str(row.seen.rhythm)

    @admin.display(description=_("next due"))
    def next_due(self, row: Any) -> SafeString | str:
        plan = row.seen.plan
        return html.named(plan.next_due, row.seen.due) if plan.next_due else str(row.seen.due)

    @admin.display(description=_("last"))
    def last(self, row: Any) -> str:
        return str(row.seen.last_words)


def slots_url(name: str) -> str:
    return f"{reverse('admin:routing_scheduleslot_changelist')}?{urlencode({'entry': name})}"
