"""Webhook endpoints in the admin: added, sent elsewhere, tried, switched off and on, and given new secrets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from notifications.delivery_deeds import delivery_url
from notifications.delivery_page import deliveries_url
from notifications.problems import InvalidNotification
from notifications.webhooks import endpoints
from notifications.webhooks.tables import Endpoint
from routing.console import html
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList
from routing.console.result_rows import StateWord


@dataclass(frozen=True)
class Deed:
    """What is asked before it is done to one endpoint."""

    action: str
    title: Any
    means: str | Promise
    asks_why: bool = False


ROTATE = Deed(
    "rotate_selected",
    gettext_lazy("Make a new secret"),
    gettext_lazy("The new secret is shown once. For a day both sign: give the receiver the new one by then."),
)
OFF = Deed(
    "off_selected",
    gettext_lazy("Switch off"),
    gettext_lazy("Nothing is sent to it. What it would get is suppressed, and can be sent again later."),
    asks_why=True,
)
ON = Deed(
    "on_selected",
    gettext_lazy("Switch on"),
    gettext_lazy("It is sent to again. What was held back is not sent by itself: use Send again for that."),
    asks_why=True,
)


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Endpoint
        fields = ("name", "url")
        widgets = {
            "name": UnfoldAdminTextInputWidget(attrs={"placeholder": "web-shop", "autofocus": True}),
            "url": UnfoldAdminTextInputWidget(attrs={"placeholder": "https://example.org/hook", "inputmode": "url"}),
        }
        help_texts = {
            "name": gettext_lazy("Whom callers write to; it stays."),
            "url": gettext_lazy("Where events are posted to. Redirects are not followed."),
        }

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        return _checked(endpoints.require_name, name)

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        return _checked(endpoints.require_url, url)


def _checked(require: Callable[[str], None], value: str) -> str:
    try:
        require(value)
    except InvalidNotification as error:
        raise ValidationError(error.problems[0].detail) from None
    return value


class EndpointList(ReadOnlyList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        off = endpoints.off(self.result_list)
        for row in self.result_list:
            row.off = off.get(row.name)


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    form = EndpointForm
    icon = "webhook"
    list_display = ("name", "where", "state", "secret_age", "its_deliveries")
    search_fields = ("name", "url")
    ordering = ("name",)
    actions = ("test_selected", ROTATE.action, OFF.action, ON.action)
    fields: Any = ("name", "url")
    readonly_fields: Any = ("rotated_at", "previous_until", "created_at", "created_by")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request, "view") or _may(request, "change")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request, "change")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EndpointList]:
        return EndpointList

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.fields, *self.readonly_fields) if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", *self.readonly_fields) if obj else self.readonly_fields

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            page: HttpResponse = super().add_view(request, form_url, extra_context)
        except InvalidNotification as error:
            # Somebody else has added one of that name since the form was checked.
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return page

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            row, obj.issued = endpoints.add(obj.name, obj.url, by=request.user.get_username())
            obj.pk = row.pk
            return
        if not endpoints.move(Endpoint(pk=obj.pk, url=form.initial["url"]), obj.url):
            self.message_user(request, _("Somebody else has changed its URL meanwhile; look again."), messages.WARNING)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown(request, obj, obj.issued)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        page: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return page

    @admin.action(description=gettext_lazy("Send a test"), permissions=["change"])
    def test_selected(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> HttpResponse | None:
        rows = list(chosen[:20])
        sent = [endpoints.send_test(row, by=request.user.get_username()) for row in rows]
        for row in rows:
            self.log_change(request, row, _("A test was sent."))
        self.message_user(request, _("A test is on its way; its delivery tells how it is answered."))
        return HttpResponseRedirect(delivery_url(sent[0].deliveries.get().pk)) if len(sent) == 1 else None

    @admin.action(description=ROTATE.title, permissions=["change"])
    def rotate_selected(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> HttpResponse | None:
        return self._one(request, chosen, ROTATE, self._rotate)

    @admin.action(description=OFF.title, permissions=["change"])
    def off_selected(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> HttpResponse | None:
        return self._one(request, chosen, OFF, self._switch_off)

    @admin.action(description=ON.title, permissions=["change"])
    def on_selected(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> HttpResponse | None:
        return self._one(request, chosen, ON, self._switch_on)

    def _one(
        self,
        request: HttpRequest,
        chosen: QuerySet[Endpoint],
        deed: Deed,
        do: Callable[[HttpRequest, Endpoint, str], HttpResponse | None],
    ) -> HttpResponse | None:
        rows, because = list(chosen[:2]), request.POST.get("because", "").strip()[:1000]
        if len(rows) != 1:
            self.message_user(request, _("One at a time: choose one endpoint."), messages.WARNING)
            return None
        if "confirmed" in request.POST and (because or not deed.asks_why):
            return do(request, rows[0], because)
        context = {
            **self.admin_site.each_context(request),
            "title": deed.title,
            "opts": self.opts,
            "deed": deed,
            "row": rows[0],
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "notifications/admin/endpoint_deed.html", context)

    def _rotate(self, request: HttpRequest, row: Endpoint, _because: str) -> HttpResponse | None:
        secret = endpoints.rotate(row)
        if secret is None:
            self.message_user(request, _("Somebody else has just made a new secret for it."), messages.WARNING)
            return None
        self.log_change(request, row, _("A new secret was made."))
        return self._shown(request, row, secret)

    def _switch_off(self, request: HttpRequest, row: Endpoint, because: str) -> None:
        if endpoints.switch_off(row, by=request.user.get_username(), because=because):
            self.log_change(request, row, _("Switched off: %(why)s") % {"why": because})
        self.message_user(request, _("%(name)s is off.") % {"name": row.name}, messages.SUCCESS)

    def _switch_on(self, request: HttpRequest, row: Endpoint, because: str) -> None:
        if endpoints.switch_on(row, by=request.user.get_username(), because=because):
            self.log_change(request, row, _("Switched on: %(why)s") % {"why": because})
        self.message_user(request, _("%(name)s is on.") % {"name": row.name}, messages.SUCCESS)

    def _shown(self, request: HttpRequest, row: Endpoint, secret: str) -> HttpResponse:
        """In the answer itself: nothing keeps it, neither a session nor a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Secret of “%(name)s”") % {"name": row.name},
            "opts": self.opts,
            "secret": secret,
            "row": row,
            "list_url": reverse("admin:notifications_endpoint_changelist"),
            "own_url": reverse("admin:notifications_endpoint_change", args=[row.pk]),
        }
        return TemplateResponse(request, "notifications/admin/endpoint_secret.html", context)

    @admin.display(description=gettext_lazy("URL"), ordering="url")
    def where(self, row: Endpoint) -> SafeString:
        return html.shortened(Truncator(row.url).chars(60), whole=row.url)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: Any) -> SafeString:
        if row.off is None:
            return html.state_label(StateWord("on", _("on"), "success"))
        why = row.off.detail or row.off.get_reason_display()
        return html.state_label(StateWord(why, _("off: %(why)s") % {"why": row.off.get_reason_display()}, "warning"))

    @admin.display(description=gettext_lazy("secret made"), ordering="rotated_at")
    def secret_age(self, row: Endpoint) -> SafeString | str:
        return html.ago(row.rotated_at)

    @admin.display(description=gettext_lazy("deliveries"))
    def its_deliveries(self, row: Endpoint) -> SafeString:
        return format_html('<a href="{}">{}</a>', deliveries_url(q=row.name), _("see them"))


def _may(request: HttpRequest, deed: str) -> bool:
    user: Any = request.user
    return bool(user.has_perm(f"notifications.{deed}_endpoint"))
