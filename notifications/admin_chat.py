"""Chat targets in the admin: added, given another URL, tried, and switched off and on. No page shows a URL."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from notifications.admin_switched import OFF, ON, Overtaken, SwitchedAdmin, SwitchedForm, checked
from notifications.chat import schemes, targets
from notifications.chat.tables import ChatTarget
from routing.console import html


class ChatTargetForm(SwitchedForm):
    new_url = forms.CharField(
        label=gettext_lazy("Apprise URL"),
        max_length=schemes.MAX_URL,
        widget=UnfoldAdminPasswordWidget(attrs={"placeholder": "slack://…", "autocomplete": "off"}),
        help_text=gettext_lazy("It holds tokens, so it is kept sealed and is not shown again. One room or phone each."),
    )

    class Meta:
        model = ChatTarget
        fields = ("name",)
        widgets = {"name": UnfoldAdminTextInputWidget(attrs={"placeholder": "ops-chat", "autofocus": True})}
        help_texts = {"name": gettext_lazy("Whom callers write to; it stays.")}

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        if self.instance.pk and "new_url" in self.fields:
            self.fields["new_url"].required = False
            self.fields["new_url"].label = _("Another Apprise URL")
            self.fields["new_url"].help_text = _(
                "Left empty, it stays as it is. What waits for it goes to the new one."
            )

    def mark(self) -> str:
        moment: str = self.instance.changed_at.isoformat()
        return moment

    def asks_for_another(self) -> bool:
        return bool(self.cleaned_data.get("new_url"))

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        return checked(targets.require_name, name)

    def clean_new_url(self) -> str:
        url: str = self.cleaned_data["new_url"].strip()
        return checked(schemes.read, url) if url else ""


@admin.register(ChatTarget)
class ChatTargetAdmin(SwitchedAdmin):
    acts: ClassVar[Any] = targets
    form = ChatTargetForm
    icon = "forum"
    list_display = ("name", "where", "state", "url_age", "its_deliveries")
    search_fields = ("name", "host")
    actions = ("test_selected", OFF.action, ON.action)
    fields: Any = ("name", "new_url")
    readonly_fields: Any = ("where", "changed_at", "created_at", "created_by")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fields(request, obj)
        may_give_it = obj is None or self.has_change_permission(request, obj)
        return found if may_give_it else [name for name in found if name != "new_url"]

    @method_decorator(sensitive_post_parameters("new_url"))
    def changeform_view(self, *args: Any, **words: Any) -> HttpResponse:
        """A report of a failed request would quote what was posted."""
        page: HttpResponse = super().changeform_view(*args, **words)
        return page

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        url = form.cleaned_data["new_url"]
        if not change:
            obj.pk = targets.add(obj.name, url, by=request.user.get_username()).pk
        elif url and not targets.move(obj, url):
            raise Overtaken

    @admin.display(description=gettext_lazy("goes to"), ordering="host")
    def where(self, row: ChatTarget) -> str:
        return targets.shown(row)

    @admin.display(description=gettext_lazy("URL given"), ordering="changed_at")
    def url_age(self, row: ChatTarget) -> SafeString | str:
        return html.ago(row.changed_at)
