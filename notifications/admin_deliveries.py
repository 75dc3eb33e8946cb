"""Deliveries in the admin: whether she got it, what she got, and what can be done about it."""

from pathlib import PurePath
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from notifications import delivery_deeds, finding, reproducing
from notifications.delivery_deeds import CANCEL, RESEND, SEND_ANYWAY, WAS_SENT, may_decide
from notifications.delivery_filters import (
    WINDOW,
    CategoryFilter,
    ChannelFilter,
    CreatedFilter,
    LaneFilter,
    NotificationFilter,
    StateFilter,
    is_windowed,
)
from notifications.delivery_page import delivery_page, page_url
from notifications.delivery_words import rows_of, suppression
from notifications.tables import Delivery
from routing.console import html
from routing.console.number_words import grouped
from routing.console.places import ByKey, KeyedList
from routing.console.read_only import ReadOnlyAdmin

# The frame with the message inherits this: whatever it says, nothing of another site is loaded, nor can it lead there.
FRAME_POLICY = "img-src 'self' data:; media-src 'none'; object-src 'none'; frame-src 'self'; form-action 'self'"
_HEAVY = ("context", "sealed", "notification__context", "notification__text", "notification__html")


class DeliveryList(KeyedList):
    def get_results(self, request: HttpRequest) -> None:
        if self._is_of_one_notification(request):
            self.order = ByPosition()
        super().get_results(request)
        seen = rows_of(self.result_list)
        for row in self.result_list:
            row.seen = seen[row.pk]

    def _is_of_one_notification(self, request: HttpRequest) -> bool:
        term = self.query.strip()
        return bool(request.GET.get("notification") or (term and finding.deliveries(term).is_of_one))


class ByPosition(ByKey):
    """Of one notification the last first, as by keys: but PostgreSQL would read those of the whole table to find them.

    A place is one more than the position, as none is 0.
    """

    columns = ("position",)

    def of(self, row: Any) -> int:
        return int(row.position) + 1

    def older(self, place: int) -> Q:
        return Q(position__lt=place - 1)

    def newer(self, place: int) -> Q:
        return Q(position__gt=place - 1)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    icon = "mark_email_read"
    menu_order = 1
    list_display = ("to", "what", "state_label", "why", "when", "attempts_made")
    list_display_links = ("to",)
    sortable_by = ()
    list_filter = (StateFilter, CreatedFilter, CategoryFilter, LaneFilter, ChannelFilter, NotificationFilter)
    search_fields = ("address_key",)
    search_help_text = _("Address, Message-ID, key, or any id")
    ordering = ("-pk",)
    show_facets = admin.ShowFacets.NEVER
    actions = ("resend_selected", "cancel_selected", "sent_selected", "undecided_again_selected")
    list_before_template = "notifications/delivery_list_head.html"
    change_form_template = "notifications/delivery.html"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What people are written is no business of whoever may see tasks."""
        user: Any = request.user
        return bool(user.has_perm("notifications.view_delivery") or user.has_perm("notifications.change_delivery"))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return may_decide(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DeliveryList]:
        return DeliveryList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows: QuerySet[Delivery] = super().get_queryset(request).select_related("notification__template__template")
        match = request.resolver_match
        if match is not None and match.url_name == "notifications_delivery_changelist" and request.method == "GET":
            return rows.defer(*_HEAVY, "notification__template__html", "notification__template__text")
        return rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        return (queryset.filter(finding.deliveries(search_term).where) if search_term.strip() else queryset), False

    def get_urls(self) -> list[Any]:
        source = path(
            "<int:key>/source/", self.admin_site.admin_view(self.source_view), name="notifications_delivery_source"
        )
        return [source, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        term = request.GET.get("q", "").strip()
        found = finding.deliveries(term) if term else None
        suppressed = suppression(found.address_key, channel=found.channel) if found and found.address_key else None
        context = {
            "title": _("Deliveries"),
            "found": found,
            "suppressed": suppressed,
            "suppressed_url": page_url("suppression", suppressed.pk) if suppressed else "",
            "window": grouped(WINDOW) if is_windowed(request) else "",
            **(extra_context or {}),
        }
        page: TemplateResponse = super().changelist_view(request, context)
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            seen = rows_of([row])[row.pk]
            extra_context = {
                "page": delivery_page(seen),
                "title": row.address,
                "subtitle": seen.state.word,
                "original": row.address,
                "decisions": delivery_deeds.open_to(request, seen),
                "decisions_url": reverse("admin:notifications_delivery_changelist"),
                "decisions_key": row.pk,
                "source_url": reverse("admin:notifications_delivery_source", args=[row.pk]),
                **(extra_context or {}),
            }
        page: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        page["Content-Security-Policy"] = FRAME_POLICY
        return page

    def source_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """The message as a file, with what is secret masked."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = Delivery.objects.select_related("notification__template__template").filter(pk=key).first()
        made = reproducing.reproduce(row) if row else None
        if row is None or made is None or made.content is None:
            raise Http404(made.problem if made else None)
        try:
            source = reproducing.source(row, made.content)
        except OSError:
            raise Http404(_("The file of an attachment is gone.")) from None
        name = f"delivery-{row.pk}{PurePath(source.name).suffix}"
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(source.content, content_type=source.content_type, headers=disposition)

    @admin.action(description=_("Send selected deliveries again"), permissions=["decide"])
    def resend_selected(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        return delivery_deeds.make(self, request, RESEND, chosen)

    @admin.action(description=_("Cancel selected deliveries"), permissions=["decide"])
    def cancel_selected(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        return delivery_deeds.make(self, request, CANCEL, chosen)

    @admin.action(description=_("Undecided: they were sent"), permissions=["decide"])
    def sent_selected(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        return delivery_deeds.make(self, request, WAS_SENT, chosen)

    @admin.action(description=_("Undecided: send them again"), permissions=["decide"])
    def undecided_again_selected(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        return delivery_deeds.make(self, request, SEND_ANYWAY, chosen)

    @admin.display(description=_("to"))
    def to(self, row: Delivery) -> SafeString:
        return html.shortened(Truncator(row.address).chars(60), whole=row.address)

    @admin.display(description=_("what"))
    def what(self, row: Delivery) -> SafeString:
        said = str(row.notification)
        return html.shortened(Truncator(said).chars(60), whole=said)

    @admin.display(description=_("state"))
    def state_label(self, row: Any) -> SafeString:
        return html.state_label(row.seen.state)

    @admin.display(description=_("answer"), empty_value=html.NOTHING)
    def why(self, row: Any) -> SafeString | None:
        words = row.seen.why
        return html.shortened(Truncator(words).chars(110), whole=words) if words else None

    @admin.display(description=_("when"))
    def when(self, row: Delivery) -> SafeString | str:
        return html.ago(row.finished_at or row.created_at)
