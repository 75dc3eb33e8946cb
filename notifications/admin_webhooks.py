"""Webhook endpoints in the admin: added, sent elsewhere, tried, switched off and on, and given new secrets."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from notifications.admin_switched import OFF, ON, Deed, Overtaken, SwitchedAdmin, SwitchedForm, checked
from notifications.webhooks import endpoints
from notifications.webhooks.tables import Endpoint
from routing.console import html

ROTATE = Deed(
    "rotate_selected",
    gettext_lazy("Make a new secret"),
    gettext_lazy("The new secret is shown once. For a day both sign: give the receiver the new one by then."),
)


class EndpointForm(SwitchedForm):
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

    def mark(self) -> str:
        url: str = self.instance.url
        return url

    def asks_for_another(self) -> bool:
        return self.cleaned_data.get("url") not in (None, self._now)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        return checked(endpoints.require_name, name)

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        return checked(endpoints.require_url, url)


@admin.register(Endpoint)
class EndpointAdmin(SwitchedAdmin):
    acts: ClassVar[Any] = endpoints
    form = EndpointForm
    icon = "webhook"
    list_display = ("name", "where", "state", "secret_age", "its_deliveries")
    search_fields = ("name", "url")
    actions = ("test_selected", ROTATE.action, OFF.action, ON.action)
    fields: Any = ("name", "url")
    readonly_fields: Any = ("rotated_at", "previous_until", "created_at", "created_by")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            row, obj.issued = endpoints.add(obj.name, obj.url, by=request.user.get_username())
            obj.pk = row.pk
            return
        if not endpoints.move(Endpoint(pk=obj.pk, url=form.initial["url"]), obj.url):
            raise Overtaken

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown(request, obj, obj.issued)

    @admin.action(description=ROTATE.title, permissions=["change"])
    def rotate_selected(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> HttpResponse | None:
        return self._one(request, chosen, ROTATE, self._rotate)

    def _rotate(self, request: HttpRequest, row: Endpoint, _because: str) -> HttpResponse | None:
        secret = endpoints.rotate(row)
        if secret is None:
            self.message_user(request, _("Somebody else has just made a new secret for it."), messages.WARNING)
            return None
        self.log_change(request, row, _("A new secret was made."))
        return self._shown(request, row, secret)

    def _shown(self, request: HttpRequest, row: Endpoint, secret: str) -> HttpResponse:
        """In the answer itself: nothing keeps it, neither a session nor a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Secret of “%(name)s”") % {"name": row.name},
            "opts": self.opts,
            "issued": secret,
            "row": row,
            "list_url": reverse("admin:notifications_endpoint_changelist"),
            "own_url": reverse("admin:notifications_endpoint_change", args=[row.pk]),
        }
        return TemplateResponse(request, "notifications/admin/endpoint_secret.html", context)

    @admin.display(description=gettext_lazy("URL"), ordering="url")
    def where(self, row: Endpoint) -> SafeString:
        return html.shortened(Truncator(row.url).chars(60), whole=row.url)

    @admin.display(description=gettext_lazy("secret made"), ordering="rotated_at")
    def secret_age(self, row: Endpoint) -> SafeString | str:
        return html.ago(row.rotated_at)
