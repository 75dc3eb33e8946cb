"""Templates in the admin: listed with their use, edited in versions, previewed, compared and restored."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from notifications.tables import Notification
from notifications.templating import version_page
from notifications.templating.edit_page import EditPage
from notifications.templating.tables import Template
from routing.console import html
from routing.console.number_words import grouped
from routing.console.read_only import ReadOnlyList

RECENT = timedelta(days=30)


class TemplateList(ReadOnlyList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        shown = [row.pk for row in self.result_list]
        uses = {use["template__template"]: use for use in _uses(shown)}
        for row in self.result_list:
            row.use = uses.get(row.pk, {"last": None, "often": 0})


def _uses(templates: list[int]) -> Any:
    """Of those that are listed, in one query."""
    since = timezone.now() - RECENT
    mine = Notification.objects.filter(template__template__in=templates).order_by()
    return mine.values("template__template").annotate(
        last=Max("created_at"), often=Count("pk", filter=Q(created_at__gte=since))
    )


@admin.register(Template)
class TemplateAdmin(ModelAdmin):
    icon = "edit_note"
    menu_order = 3
    list_display = ("name", "about", "version", "last_used", "in_30_days")
    search_fields = ("name", "description")
    search_help_text = _("Name or description")
    ordering = ("name",)
    list_per_page = 50
    list_fullwidth = True
    show_full_result_count = False
    actions: Any = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TemplateList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Template]:
        return Template.objects.annotate(newest=Max("versions__number"), saved_at=Max("versions__created_at"))

    def has_delete_permission(self, request: HttpRequest, obj: Template | None = None) -> bool:
        """What was sent is shown by its version."""
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return EditPage(self, request, None).respond()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        template = self._template(request, object_id)
        if template is None:
            return self._missing(request, object_id)
        return EditPage(self, request, template).respond()

    def version_view(self, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        template = self._template(request, object_id)
        if template is None:
            return self._missing(request, object_id)
        return version_page.respond(self, request, template, number)

    def get_urls(self) -> list[Any]:
        own = path(
            "<path:object_id>/versions/<int:number>/",
            self.admin_site.admin_view(self.version_view),
            name="notifications_template_version",
        )
        return [own, *super().get_urls()]

    def _template(self, request: HttpRequest, object_id: str) -> Template | None:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found: Template | None = self.get_object(request, unquote(object_id).replace("\0", ""))
        return found

    def _missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return answer

    @admin.display(description=_("description"))
    def about(self, row: Template) -> str:
        return Truncator(row.description).chars(90) or html.NOTHING

    @admin.display(description=_("newest version"))
    def version(self, row: Any) -> SafeString | str:
        if row.newest is None:
            return html.NOTHING
        saved: datetime = row.saved_at
        retired = _(", retired") if row.retired_at else ""
        return html.named(saved, f"{row.newest}, {date_format(timezone.localtime(saved), 'DATE_FORMAT')}{retired}")

    @admin.display(description=_("last used"))
    def last_used(self, row: Any) -> SafeString | str:
        return html.ago(row.use["last"])

    @admin.display(description=_("in 30 days"))
    def in_30_days(self, row: Any) -> str:
        return grouped(row.use["often"])
