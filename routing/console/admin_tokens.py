"""API tokens in the admin: made with their scopes, shown once, revoked and never deleted: their story stays."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy, ngettext, pgettext_lazy

from routing.console import html
from routing.console.saved_once import SavedOnce
from routing.console.token_form import TokenForm
from routing.console.tokens import ApiToken
from routing.ledger import database


@admin.register(ApiToken)
class ApiTokenAdmin(SavedOnce):
    form = TokenForm
    icon = "key"
    list_display = ("name", "begins_with", "state", "may", "created", "created_by", "last_used")
    list_select_related = ("created_by",)
    search_fields = ("name", "hint")
    ordering = ("-created_at",)
    actions = ("revoke_selected",)
    readonly_fields = ("begins_with", "created_at", "created_by", "last_used_at", "revoked_at")

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> list[str]:
        return ["name", "scopes", *(self.readonly_fields if obj else ())]

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name", "scopes"])
            return
        obj.created_by_id = request.user.pk
        obj.issue()

    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None) -> HttpResponse:
        """Show the token in the answer itself: nothing keeps it, neither a session nor a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Token for “%(name)s”") % {"name": obj.name},
            "opts": self.opts,
            "issued": obj.issued,
            "list_url": reverse("admin:routing_apitoken_changelist"),
            "own_url": reverse("admin:routing_apitoken_change", args=[obj.pk]),
            "may_send": obj.may("notifications:send"),
            "send_url": request.build_absolute_uri(reverse("api:create_notification")),
            "docs_url": reverse("api:openapi-view"),
        }
        return TemplateResponse(request, "console/token_issued.html", context)

    @admin.action(description=gettext_lazy("Revoke selected tokens"), permissions=["change"])
    def revoke_selected(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        # What was done is in the log, or it was not done.
        with database.atomic():
            revoked = [token for token in chosen.order_by("pk") if token.revoke()]
            for token in revoked:
                self.log_change(request, token, gettext("Revoked."))
        count = len(revoked)
        said = ngettext("%(count)d token is revoked.", "%(count)d tokens are revoked.", count) % {"count": count}
        self.message_user(request, said, messages.SUCCESS if revoked else messages.WARNING)

    @admin.display(description=gettext_lazy("begins with"))
    def begins_with(self, token: ApiToken) -> SafeString:
        return format_html("<code>{}…</code>", token.hint)

    @admin.display(description=gettext_lazy("state"))
    def state(self, token: ApiToken) -> SafeString:
        if token.revoked_at is None:
            return format_html('<span class="console-label console-label-success">{}</span>', gettext("in use"))
        title = html.exact_time(token.revoked_at)
        return format_html('<span class="console-label" title="{}">{}</span>', title, gettext("revoked"))

    @admin.display(description=pgettext_lazy("a token", "may"))
    def may(self, token: ApiToken) -> SafeString:
        return format_html_join(" ", "<code>{}</code>", ((name,) for name in token.scopes.split()))

    @admin.display(description=gettext_lazy("created"), ordering="created_at")
    def created(self, token: ApiToken) -> SafeString | str:
        return html.ago(token.created_at)

    @admin.display(description=gettext_lazy("last used"), ordering="last_used_at")
    def last_used(self, token: ApiToken) -> SafeString | str:
        return html.ago(token.last_used_at) if token.last_used_at else gettext("never")
