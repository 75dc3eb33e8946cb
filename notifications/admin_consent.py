"""The suppression list, the recipients' choices, and bounces and complaints in the admin."""

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from notifications import categories
from notifications.addresses import InvalidAddress
from notifications.consent import choices, suppression_list
from notifications.consent.tables import Feedback, Preference, Suppression
from routing.console import html
from routing.console.read_only import ReadOnlyAdmin
from routing.console.saved_once import SavedOnce

TONES = {
    Suppression.Reason.COMPLAINED: "warning",
    Feedback.Kind.HARD_BOUNCE: "danger",
    Feedback.Kind.COMPLAINT: "warning",
    Feedback.Kind.UNREADABLE: "info",
}


def label(words: str, tone: str) -> SafeString:
    return format_html('<span class="console-label console-label-{}">{}</span>', tone, words)


class FoundByAddress(ReadOnlyAdmin):
    """A whole address is looked up by its index, in any spelling; a part of one is looked for."""

    search_fields = ("address_key",)
    search_help_text = gettext_lazy("An address, or part of one")
    show_facets = admin.ShowFacets.NEVER

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        try:
            return queryset.filter(address_key=suppression_list.key(term)), False
        except InvalidAddress:
            return queryset.filter(address_key__contains=term.casefold()), False


class InForceFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "lifted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", gettext_lazy("lifted"))]

    def choices(self, changelist: Any) -> Any:
        all_of_them, *others = super().choices(changelist)
        return [{**all_of_them, "display": _("in force")}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(lifted_at__isnull=self.value() != "yes")


class NewSuppression(forms.ModelForm):  # type: ignore[type-arg]
    address = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=400,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "ann@example.org", "autofocus": True}),
        help_text=gettext_lazy("Nothing is sent to it any more, not even a password reset."),
    )
    detail = forms.CharField(
        label=gettext_lazy("Why?"), max_length=1000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3})
    )

    class Meta:
        model = Suppression
        fields = ("detail",)

    def clean_address(self) -> str:
        written: str = self.cleaned_data["address"]
        try:
            found = suppression_list.suppressions(written).filter(reason=Suppression.Reason.BY_HAND).first()
        except InvalidAddress as error:
            raise ValidationError(_("It cannot be used: %(why)s.") % {"why": error}) from None
        if found:
            raise ValidationError(
                _("It is suppressed by hand already: %(why)s") % {"why": found.detail or found.created_by}
            )
        return written


@admin.register(Suppression)
class SuppressionAdmin(SavedOnce, FoundByAddress):
    icon = "block"
    list_display = ("address_key", "why", "more", "since", "created_by", "state")
    list_filter = (InForceFilter, "reason", "channel")
    ordering = ("-pk",)
    actions = ("lift_selected",)
    fields: Any = (
        "address_key",
        "channel",
        "reason",
        "detail",
        "delivery",
        "created_at",
        "created_by",
        "lifted_at",
        "lifted_by",
        "lifted_because",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _may(request, "add_suppression")

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return _may(request, "change_suppression")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs) if obj else NewSuppression

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else ("address", "detail")

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        row, _is_new = suppression_list.suppress(
            form.cleaned_data["address"], detail=obj.detail, by=request.user.get_username()
        )
        obj.pk, obj.address_key = row.pk, row.address_key

    @admin.action(description=gettext_lazy("Lift selected suppressions…"), permissions=["lift"])
    def lift_selected(self, request: HttpRequest, chosen: QuerySet[Suppression]) -> HttpResponse | None:
        rows = list(chosen.filter(lifted_at=None).order_by("address_key"))
        because = request.POST.get("because", "").strip()
        if not rows:
            self.message_user(request, _("There is nothing left to lift."), messages.WARNING)
            return None
        if "confirmed" not in request.POST or not because:
            return self._ask(request, rows)
        self._lift(request, rows, because)
        return None

    def _ask(self, request: HttpRequest, rows: list[Suppression]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Lift"),
            "opts": self.opts,
            "rows": rows[:20],
            "count": len(rows),
            "others": len(rows) - len(rows[:20]),
            "checkbox": ACTION_CHECKBOX_NAME,
            "keys": [row.pk for row in rows],
        }
        return TemplateResponse(request, "notifications/admin/lift.html", context)

    def _lift(self, request: HttpRequest, rows: list[Suppression], because: str) -> None:
        by = request.user.get_username()
        chosen = Suppression.objects.filter(pk__in=[row.pk for row in rows])
        # What was done is in the log, or it was not done.
        with transaction.atomic():
            count = suppression_list.lift_rows(chosen, by=by, because=because[:1000])
            _log(request, rows, _("Lifted: %(why)s") % {"why": because})
        said = ngettext("%(count)d suppression is lifted.", "%(count)d suppressions are lifted.", count)
        self.message_user(request, said % {"count": count}, messages.SUCCESS if count else messages.WARNING)

    @admin.display(description=gettext_lazy("reason"), ordering="reason")
    def why(self, row: Suppression) -> SafeString:
        return label(row.get_reason_display(), TONES.get(cast(Any, row.reason), "danger"))

    @admin.display(description=gettext_lazy("detail"), empty_value=html.NOTHING)
    def more(self, row: Suppression) -> SafeString | None:
        return _shortened(row.detail)

    @admin.display(description=gettext_lazy("since"), ordering="created_at")
    def since(self, row: Suppression) -> SafeString | str:
        return html.ago(row.created_at)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: Suppression) -> SafeString | str:
        if row.lifted_at is None:
            return _("in force")
        return format_html(_("lifted {} by {}"), html.ago(row.lifted_at), row.lifted_by or "?")


@admin.register(Preference)
class PreferenceAdmin(FoundByAddress):
    icon = "tune"
    list_display = ("address_key", "of", "choice", "changed", "source")
    list_filter = ("wanted", "category", "source")
    ordering = ("-changed_at",)
    actions = ("subscribe_selected", "unsubscribe_selected")
    fields = ("address_key", "category", "wanted", "changed_at", "source")

    def has_choose_permission(self, request: HttpRequest) -> bool:
        return _may(request, "change_preference")

    @admin.action(description=gettext_lazy("Subscribe again, as the recipient has asked"), permissions=["choose"])
    def subscribe_selected(self, request: HttpRequest, chosen: QuerySet[Preference]) -> None:
        self._choose(request, chosen, wanted=True)

    @admin.action(description=gettext_lazy("Unsubscribe, as the recipient has asked"), permissions=["choose"])
    def unsubscribe_selected(self, request: HttpRequest, chosen: QuerySet[Preference]) -> None:
        self._choose(request, chosen, wanted=False)

    def _choose(self, request: HttpRequest, chosen: QuerySet[Preference], *, wanted: bool) -> None:
        rows = list(chosen.exclude(wanted=wanted).order_by("pk"))
        # What was done is in the log, or it was not done.
        with transaction.atomic():
            for row in rows:
                choices.choose(row.address_key, {row.category: wanted}, source="admin")
            _log(request, rows, _("Subscribed again.") if wanted else _("Unsubscribed."))
        said = ngettext("%(count)d choice is changed.", "%(count)d choices are changed.", len(rows))
        self.message_user(request, said % {"count": len(rows)}, messages.SUCCESS if rows else messages.WARNING)

    @admin.display(description=gettext_lazy("category"), ordering="category")
    def of(self, row: Preference) -> str:
        try:
            return str(categories.get(row.category).title)
        except categories.UnknownCategory:
            return _("%(name)s (gone)") % {"name": row.category}

    @admin.display(description=gettext_lazy("choice"), ordering="wanted")
    def choice(self, row: Preference) -> SafeString:
        return label(_("subscribed"), "success") if row.wanted else label(_("unsubscribed"), "warning")

    @admin.display(description=gettext_lazy("changed"), ordering="changed_at")
    def changed(self, row: Preference) -> SafeString | str:
        return html.ago(row.changed_at)


@admin.register(Feedback)
class FeedbackAdmin(FoundByAddress):
    icon = "assignment_return"
    list_display = ("what", "address_key", "more", "effect", "source", "received")
    list_filter = ("kind",)
    ordering = ("-pk",)
    fields = (
        "kind",
        "address_key",
        "message_id",
        "delivery",
        "detail",
        "effect",
        "source",
        "received_at",
        "as_it_came",
    )
    readonly_fields = ("as_it_came",)

    @admin.display(description=gettext_lazy("kind"), ordering="kind")
    def what(self, row: Feedback) -> SafeString:
        return label(row.get_kind_display(), TONES.get(cast(Any, row.kind), "info"))

    @admin.display(description=gettext_lazy("detail"), empty_value=html.NOTHING)
    def more(self, row: Feedback) -> SafeString | None:
        return _shortened(row.detail)

    @admin.display(description=gettext_lazy("received"), ordering="pk")
    def received(self, row: Feedback) -> SafeString | str:
        return html.ago(row.received_at)

    @admin.display(description=gettext_lazy("as it came"), empty_value=html.NOTHING)
    def as_it_came(self, row: Feedback) -> SafeString | None:
        # A line of a report may be as long as a message.
        style = "white-space: pre-wrap; overflow-wrap: anywhere"
        box = '<div class="console-value"><pre style="{}">{}</pre></div>'
        return format_html(box, style, row.raw) if row.raw else None


def _may(request: HttpRequest, permission: str) -> bool:
    user: Any = request.user
    return bool(user.has_perm(f"notifications.{permission}"))


def _log(request: HttpRequest, rows: Iterable[Any], told: str) -> None:
    user: Any = request.user
    for row in rows:
        LogEntry.objects.log_actions(user.pk, [row], CHANGE, change_message=told, single_object=True)


def _shortened(text: str) -> SafeString | None:
    return html.shortened(Truncator(text).chars(70), whole=text) if text else None
