"""Notifications in the admin: what was said to how many, how far it has come, and to stop it."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from notifications import deciding, finding
from notifications.admin_deliveries import FRAME_POLICY
from notifications.delivery_filters import WINDOW, CategoryFilter, CreatedFilter, LaneFilter, is_windowed
from notifications.notification_page import history, notification_page
from notifications.tables import Delivery, Notification
from routing.console import html
from routing.console.number_words import grouped
from routing.console.places import ByTime, KeyedList
from routing.console.read_only import ReadOnlyAdmin
from routing.console.result_rows import StateWord

MOST = 20
"""Notifications at once on a page; each may have any number of deliveries."""


class OfNotification:
    """The filters of deliveries, where the column is the notification's own."""

    column: str

    def queryset(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return newest(request, queryset.filter(**{self.parameter_name: self.value()}))


class OwnCategoryFilter(OfNotification, CategoryFilter):
    pass


class OwnLaneFilter(OfNotification, LaneFilter):
    pass


class NotificationList(KeyedList):
    order = ByTime("created_at")


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    icon = "outgoing_mail"
    menu_order = 2
    list_display = ("what", "recipients", "whether", "category", "lane", "own_key", "created", "created_by")
    list_filter = (CreatedFilter, OwnCategoryFilter, OwnLaneFilter)
    sortable_by = ()
    search_fields = ("key",)
    search_help_text = gettext_lazy("Key, id, Message-ID, or name of a template")
    ordering = ("-created_at",)
    show_facets = admin.ShowFacets.NEVER
    actions = ("cancel_selected",)
    list_before_template = "notifications/list_head.html"
    change_form_template = "notifications/notification.html"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return bool(user.has_perm("notifications.view_notification") or self.has_decide_permission(request))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm("notifications.change_notification"))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[NotificationList]:
        return NotificationList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        rows: QuerySet[Notification] = super().get_queryset(request).select_related("template__template")
        match = request.resolver_match
        if match is not None and match.url_name == "notifications_notification_changelist":
            return rows.defer("context", "text", "html", "template__html", "template__text")
        return rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Notification], search_term: str
    ) -> tuple[QuerySet[Notification], bool]:
        return (queryset.filter(finding.notifications(search_term)) if search_term.strip() else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        window = grouped(WINDOW) if is_windowed(request) else ""
        context = {"title": _("Notifications"), "window": window, **(extra_context or {})}
        page: TemplateResponse = super().changelist_view(request, context)
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            page = notification_page(row)
            may_cancel = self.has_decide_permission(request) and (page.pending or not row.is_complete)
            extra_context = {
                "page": page,
                "title": str(row),
                "original": str(row),
                "may_cancel": may_cancel and not (row.cancelled_at and not page.pending),
                "decisions_url": reverse("admin:notifications_notification_changelist"),
                **(extra_context or {}),
            }
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        answer["Content-Security-Policy"] = FRAME_POLICY
        return answer

    @admin.action(description=gettext_lazy("Cancel selected notifications"), permissions=["decide"])
    def cancel_selected(self, request: HttpRequest, chosen: QuerySet[Notification]) -> HttpResponse | None:
        rows = list(chosen[: MOST + 1])
        if len(rows) > MOST:
            text = _("At most %(most)d at once. Any number: manage.py deliveries cancel")
            self.message_user(request, text % {"most": MOST}, messages.ERROR)
            return None
        if "confirmed" not in request.POST:
            return self._ask(request, rows)
        for row in rows:
            self._cancel(request, row)
        return HttpResponseRedirect(_url(rows[0])) if len(rows) == 1 else None

    def _ask(self, request: HttpRequest, rows: list[Notification]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Cancel"),
            "opts": self.opts,
            "rows": [(row, _pending(row)) for row in rows],
            "checkbox": ACTION_CHECKBOX_NAME,
            "back": _url(rows[0]) if len(rows) == 1 else request.get_full_path(),
        }
        return TemplateResponse(request, "notifications/cancel.html", context)

    def _cancel(self, request: HttpRequest, row: Notification) -> None:
        if row.cancelled_at is not None and not _pending(row):
            entry = history(row).first()
            who = _("%(who)s was first.") % {"who": entry.user} if entry else _("Somebody was first.")
            self.message_user(request, _("It is cancelled already. %(who)s") % {"who": who}, messages.WARNING)
            return
        user: Any = request.user
        # They may be too many for one transaction, so the log comes first, and what came of it after.
        begun = _("To be cancelled; how many deliveries that caught is not known. Cancel it again to be sure.")
        entry = LogEntry.objects.log_actions(user.pk, [row], CHANGE, change_message=begun, single_object=True)
        caught = deciding.cancel_notification(row, by=user.get_username())
        told = ngettext(
            "Cancelled; it still caught %(count)s delivery.", "Cancelled; it still caught %(count)s deliveries.", caught
        )
        told %= {"count": grouped(caught)}
        LogEntry.objects.filter(pk=entry.pk).update(change_message=told)
        self.message_user(request, f"{row}: {told}", messages.SUCCESS)

    @admin.display(description=gettext_lazy("what"))
    def what(self, row: Notification) -> SafeString:
        return html.shortened(Truncator(str(row)).chars(60), whole=str(row))

    @admin.display(description=gettext_lazy("state"), empty_value=html.NOTHING)
    def whether(self, row: Notification) -> SafeString | None:
        state = _state(row)
        return html.state_label(state) if state else None

    @admin.display(description=gettext_lazy("key"), empty_value=html.NOTHING)
    def own_key(self, row: Notification) -> SafeString | None:
        return html.shortened(Truncator(row.key).chars(40), whole=row.key) if row.key else None

    @admin.display(description=gettext_lazy("created"))
    def created(self, row: Notification) -> SafeString | str:
        return html.ago(row.created_at)


def newest(request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those among which is looked for what no index serves."""
    if not is_windowed(request):
        return rows
    times = Notification.objects.order_by("-created_at").values_list("created_at", flat=True)
    oldest = times[WINDOW : WINDOW + 1].first()
    return rows.filter(created_at__gt=oldest) if oldest else rows


def _state(row: Notification) -> StateWord | None:
    """What it has beside the states of its deliveries."""
    if row.cancelled_at:
        return StateWord("cancelled", _("cancelled"), "warning")
    if not row.is_complete:
        return StateWord("storing", _("being stored"), "info")
    return None


def _pending(row: Notification) -> int:
    return Delivery.objects.filter(notification=row, state=Delivery.State.PENDING).count()


def _url(row: Notification) -> str:
    return reverse("admin:notifications_notification_change", args=[row.pk])
