"""Rows that are written to by name, in the admin: each is tried, and switched off and on for a reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications.delivery_deeds import delivery_url
from notifications.delivery_page import deliveries_url
from notifications.problems import InvalidNotification
from routing.console import html
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList
from routing.console.result_rows import StateWord
from routing.console.saved_once import SavedOnce


@dataclass(frozen=True)
class Deed:
    """What is asked before it is done to one row."""

    action: str
    title: Any
    means: str | Promise
    asks_why: bool = False


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


def checked(require: Callable[[str], Any], value: str) -> str:
    """For a form's field. Raises ValidationError."""
    try:
        require(value)
    except InvalidNotification as error:
        raise ValidationError(error.problems[0].detail) from None
    return value


class _Seen(forms.CharField):
    def has_changed(self, initial: Any, data: Any) -> bool:
        """Nobody changes it, and the log is not to say so."""
        return False


class SwitchedForm(forms.ModelForm):  # type: ignore[type-arg]
    """Refuses another URL where somebody else has changed it since this form was shown."""

    seen = _Seen(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        self._now = self.mark() if self.instance.pk else ""
        self.fields["seen"].initial = self._now

    def mark(self) -> str:
        """What is another one once its URL has been changed."""
        raise NotImplementedError

    def asks_for_another(self) -> bool:
        """Whether this changes its URL."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.instance.pk and self.asks_for_another() and self.cleaned_data.get("seen") != self._now:
            raise ValidationError(changed_meanwhile())
        return cleaned


class Overtaken(Exception):
    """Somebody else has given another URL since the form was checked: nothing is saved."""


def changed_meanwhile() -> str:
    return _("Somebody else has changed its URL meanwhile; look again.")


class SwitchedList(ReadOnlyList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        model_admin: Any = self.model_admin
        off = model_admin.acts.off(self.result_list)
        for row in self.result_list:
            row.off = off.get(row.name)


class SwitchedAdmin(SavedOnce, ReadOnlyAdmin):
    acts: ClassVar[Any]
    """The module that does it: it has ``off``, ``send_test``, ``switch_off`` and ``switch_on``."""
    ordering = ("name",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "view") or self._may(request, "change")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "change")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[SwitchedList]:
        return SwitchedList

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.fields
        seen = ("seen",) if self.has_change_permission(request, obj) else ()
        return (*self.fields, *seen, *self.readonly_fields)

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

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            page: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        except Overtaken:
            self.message_user(request, changed_meanwhile(), messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        return page

    @admin.action(description=gettext_lazy("Send a test"), permissions=["change"])
    def test_selected(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        rows = list(chosen[:20])
        sent = [self.acts.send_test(row, by=request.user.get_username()) for row in rows]
        for row in rows:
            self.log_change(request, row, _("A test was sent."))
        self.message_user(request, _("A test is on its way; its delivery tells how it is answered."))
        return HttpResponseRedirect(delivery_url(sent[0].deliveries.get().pk)) if len(sent) == 1 else None

    @admin.action(description=OFF.title, permissions=["change"])
    def off_selected(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        return self._one(request, chosen, OFF, self._switch_off)

    @admin.action(description=ON.title, permissions=["change"])
    def on_selected(self, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponse | None:
        return self._one(request, chosen, ON, self._switch_on)

    def _one(
        self,
        request: HttpRequest,
        chosen: QuerySet[Any],
        deed: Deed,
        do: Callable[[HttpRequest, Any, str], HttpResponse | None],
    ) -> HttpResponse | None:
        rows, because = list(chosen[:2]), request.POST.get("because", "").strip()[:1000]
        if len(rows) != 1:
            self.message_user(request, _("One at a time: choose one."), messages.WARNING)
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

    def _switch_off(self, request: HttpRequest, row: Any, because: str) -> None:
        if self.acts.switch_off(row, by=request.user.get_username(), because=because):
            self.log_change(request, row, _("Switched off: %(why)s") % {"why": because})
        self.message_user(request, _("%(name)s is off.") % {"name": row.name}, messages.SUCCESS)

    def _switch_on(self, request: HttpRequest, row: Any, because: str) -> None:
        if self.acts.switch_on(row, by=request.user.get_username(), because=because):
            self.log_change(request, row, _("Switched on: %(why)s") % {"why": because})
        self.message_user(request, _("%(name)s is on.") % {"name": row.name}, messages.SUCCESS)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: Any) -> SafeString:
        if row.off is None:
            return html.state_label(StateWord("on", _("on"), "success"))
        why = row.off.detail or row.off.get_reason_display()
        return html.state_label(StateWord(why, _("off: %(why)s") % {"why": row.off.get_reason_display()}, "warning"))

    @admin.display(description=gettext_lazy("deliveries"))
    def its_deliveries(self, row: Any) -> SafeString:
        return format_html('<a href="{}">{}</a>', deliveries_url(q=row.name), _("see them"))

    def _may(self, request: HttpRequest, deed: str) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"notifications.{deed}_{self.opts.model_name}"))
