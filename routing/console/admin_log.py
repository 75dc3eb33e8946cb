"""What people did in the admin: who, when, with what. Django writes it down; here it can be read."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from routing.console import html
from routing.console.period_filters import within
from routing.console.read_only import ReadOnlyAdmin


@admin.register(LogEntry)
class LogAdmin(ReadOnlyAdmin):
    icon = "history"
    menu_title = _("Actions of people")
    list_display = ("when", "user", "what", "deed")
    list_filter = (within("action_time", _("done")), "user")
    search_fields = ("change_message", "object_repr", "user__username")
    search_help_text = _("Task, number, or whatever else is told of the deed")
    list_select_related = ("user", "content_type")
    ordering = ("-action_time",)
    show_facets = admin.ShowFacets.NEVER
    fields = ("when", "user", "what", "deed")
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It tells of all pages, so who may see results alone may not see it."""
        user: Any = request.user
        return bool(user.has_perm("admin.view_logentry"))

    @admin.display(description=_("when"), ordering="action_time")
    def when(self, entry: LogEntry) -> SafeString | str:
        return html.clock(entry.action_time)

    @admin.display(description=_("with"))
    def what(self, entry: LogEntry) -> str:
        return f"{entry.content_type}: {entry.object_repr}" if entry.content_type else str(entry.object_repr)

    @admin.display(description=_("deed"))
    def deed(self, entry: Any) -> str:
        return str(entry.get_change_message())
