"""Subscriptions in the admin: who gets which report and when; to add, pause, end, and to see it first oneself."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from reporting import deeds, reports
from reporting.deeds import Deed
from reporting.forms import attachable
from reporting.subscribing import choosing, objections, words
from reporting.subscribing.objections import Objection
from reporting.subscribing.tables import Subscription
from reporting.tasks import preview
from routing.console import html
from routing.console.result_rows import StateWord
from routing.domains import registry


class SubscriptionForm(forms.ModelForm):  # type: ignore[type-arg]
    report = forms.ChoiceField(label=gettext_lazy("Report"), widget=UnfoldAdminSelectWidget)
    domains = forms.MultipleChoiceField(
        label=gettext_lazy("Domains"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: all of them, and those that are added later."),
    )
    attached = forms.MultipleChoiceField(
        label=gettext_lazy("Attached files"), required=False, widget=forms.CheckboxSelectMultiple
    )
    hour = forms.TypedChoiceField(
        label=gettext_lazy("Hour"),
        coerce=int,
        choices=[(hour, f"{hour:02}:00") for hour in range(24)],
        initial=9,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("By their own clock."),
    )
    time_zone = forms.CharField(
        label=gettext_lazy("Time zone"),
        max_length=64,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "time-zones", "autocomplete": "off"}),
        help_text=gettext_lazy("Such as Europe/Berlin, America/New_York or UTC."),
    )

    language = forms.ChoiceField(
        label=gettext_lazy("Language"), required=False, choices=settings.LANGUAGES, widget=UnfoldAdminSelectWidget
    )

    class Meta:
        model = Subscription
        fields = ("email", "name", "report", "domains", "attached", "weekday", "hour", "time_zone", "language")

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        chosen = list(filter(None, (self.instance.domains or "").split(",")))
        self.initial["domains"] = chosen
        fields: Any = self.fields
        fields["report"].initial, fields["time_zone"].initial = "weekly", settings.TIME_ZONE
        fields["report"].choices = [(name, str(report.title)) for name, report in reports.reports().items()]
        # One that is gone stays chosen until somebody takes it out.
        names = [domain.name for domain in registry()]
        fields["domains"].choices = [(name, name) for name in dict.fromkeys([*names, *chosen])]
        self._offer_files(fields["attached"])

    def _offer_files(self, field: Any) -> None:
        chosen = list(filter(None, (self.instance.attached or "").split(",")))
        self.initial["attached"] = chosen
        titles = {name: str(form.title) for name, form in attachable().items()}
        field.choices = [(name, titles.get(name, name)) for name in dict.fromkeys([*titles, *chosen])]
        text = _("They go with the mail, which says the same itself: together at most %(most)s MB.")
        field.help_text = text % {"most": f"{settings.TASKYARD_MAX_ATTACHMENTS / 1_000_000:g}"}

    def clean_language(self) -> str:
        """A page of the release before does not ask."""
        chosen: str = self.cleaned_data["language"] or self.instance.language
        return chosen

    def clean_attached(self) -> str:
        return ",".join(sorted(self.cleaned_data["attached"]))

    def clean_domains(self) -> str:
        return ",".join(sorted(self.cleaned_data["domains"]))

    def clean_time_zone(self) -> str:
        written: str = self.cleaned_data["time_zone"].strip()
        known = {name.casefold(): name for name in available_timezones()}
        try:
            return known[written.replace(" ", "_").casefold()]
        except KeyError:
            text = _("“%(name)s” is no time zone. Write one such as Europe/Berlin, America/New_York or UTC.")
            raise ValidationError(text % {"name": written}) from None


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("active", _("active")),
            ("paused", _("paused")),
            ("refused", _("wants none, or is not sent any")),
            ("ended", _("unsubscribed")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        still = queryset.filter(ended_at=None)
        match self.value():
            case "active":
                return objections.among(still.filter(paused_at=None), objecting=False)
            case "paused":
                return objections.among(still.exclude(paused_at=None), objecting=False)
            case "refused":
                return objections.among(still, objecting=True)
            case "ended":
                return queryset.exclude(ended_at=None)
        return queryset


class SubscriptionList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        page: Any = self
        page.result_list = list(page.result_list)
        found = objections.of([one.email for one in page.result_list])
        for one in page.result_list:
            one.objection = found.get(one.email)


def _preview(request: HttpRequest, one: Subscription) -> bool:
    user: Any = request.user
    report = reports.reports().get(one.report)
    if not user.email or report is None:
        return False
    period = str(report.period_of(timezone.now()))
    # A worker of the release before knows nothing of files, or of languages.
    files = {"attached": one.attached} if one.attached else {}
    files |= {"language": one.language} if one.language != "en" else {}
    preview.delay(report=one.report, period=period, to=user.email, domains=one.domains, **files)
    return True


PAUSE = Deed(
    "pause_selected",
    gettext_lazy("Pause"),
    gettext_lazy("They get nothing until it is resumed. What is due meanwhile is not made up for."),
    gettext_lazy("Paused."),
    lambda _request, one: choosing.pause(one),
)
RESUME = Deed(
    "resume_selected",
    gettext_lazy("Resume"),
    gettext_lazy("They get what is due from now on."),
    gettext_lazy("Resumed."),
    lambda _request, one: choosing.resume(one),
)
END = Deed(
    "end_selected",
    gettext_lazy("Unsubscribe"),
    gettext_lazy("They get this report no more. They may take it up again by the link in any report they had."),
    gettext_lazy("Unsubscribed."),
    lambda _request, one: choosing.end(one),
)
PREVIEW = Deed(
    "preview_selected",
    gettext_lazy("Send me a preview"),
    gettext_lazy("The newest report goes to your own address as these people would get it now, and to nobody else."),
    gettext_lazy("A preview was sent to whoever asked."),
    _preview,
)


@admin.register(Subscription)
class SubscriptionAdmin(ModelAdmin):
    icon = "contact_mail"
    menu_title = gettext_lazy("Subscriptions")
    menu_order = 1
    form = SubscriptionForm
    list_display = ("email", "state", "which", "when", "about", "name")
    list_filter = ("report", StateFilter)
    search_fields = ("email", "name")
    search_help_text = gettext_lazy("An address or a name, or part of one")
    actions = ("preview_selected", "pause_selected", "resume_selected", "end_selected")
    list_fullwidth = True
    change_form_template = "reporting/admin/subscription.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        one = self.get_object(request, object_id)
        context = {"objection": objections.against(one.email) if one and not one.ended_at else None}
        answer: HttpResponse = super().change_view(
            request, object_id, form_url, {**_zones(), **context, **(extra_context or {})}
        )
        return answer

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        answer: HttpResponse = super().add_view(request, form_url, {**_zones(), **(extra_context or {})})
        return answer

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SubscriptionList

    def save_model(self, request: HttpRequest, obj: Subscription, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if objection := objections.against(obj.email):
            text = _("It is kept, but nothing is sent to %(address)s: %(why)s.")
            self.message_user(request, text % {"address": obj.email, "why": objection.why}, messages.WARNING)

    @admin.action(description=PAUSE.title, permissions=["change"])
    def pause_selected(self, request: HttpRequest, chosen: QuerySet[Subscription]) -> HttpResponse | None:
        return deeds.make(self, request, PAUSE, chosen)

    @admin.action(description=RESUME.title, permissions=["change"])
    def resume_selected(self, request: HttpRequest, chosen: QuerySet[Subscription]) -> HttpResponse | None:
        return deeds.make(self, request, RESUME, chosen)

    @admin.action(description=END.title, permissions=["change"])
    def end_selected(self, request: HttpRequest, chosen: QuerySet[Subscription]) -> HttpResponse | None:
        return deeds.make(self, request, END, chosen)

    @admin.action(description=PREVIEW.title, permissions=["view"])
    def preview_selected(self, request: HttpRequest, chosen: QuerySet[Subscription]) -> HttpResponse | None:
        user: Any = request.user
        if not user.email:
            text = _("Your user has no e-mail address to send a preview to. Add one under Users.")
            self.message_user(request, text, messages.ERROR)
            return None
        return deeds.make(self, request, PREVIEW, chosen)

    @admin.display(description=gettext_lazy("report"), ordering="report")
    def which(self, one: Subscription) -> str:
        return words.title(one)

    @admin.display(description=gettext_lazy("about"))
    def about(self, one: Subscription) -> str:
        return words.about(one)

    @admin.display(description=gettext_lazy("when"), ordering="time_zone")
    def when(self, one: Subscription) -> str:
        return words.when(one)

    @admin.display(description=gettext_lazy("state"))
    def state(self, one: Any) -> SafeString:
        return html.state_label(state(one, one.objection))


def state(one: Subscription, objection: Objection | None) -> StateWord:
    tones = {"active": "success", "ended": ""}
    kind = words.kind(one, objection)
    why = objection.why if objection and kind != "ended" else words.state(one, objection)
    word = _("wants no reports at all") if kind == "refused" else words.state(one, objection)
    return StateWord(why, word, tones.get(kind, "warning"))


def _zones() -> dict[str, Any]:
    return {"zones": sorted(available_timezones())}
