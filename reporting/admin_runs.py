"""Reports in the admin: what they said, to whom and when, how far they have come; to build and send them again."""

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Max, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.urls.resolvers import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from reporting import deeds, downloads, tasks, wording
from reporting.deeds import Deed
from reporting.downloads import NotKept
from reporting.run_page import FRAME_POLICY, run_page, state_word, title, with_states
from reporting.runs import storage
from reporting.runs.tables import LATE_AFTER, ReportDelivery, ReportEdition, ReportRun
from routing.console import html
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList


def _rebuild(_request: HttpRequest, run: ReportRun) -> bool:
    tasks.rebuild.delay(report=run.report, period=run.period)
    return True


def _resend(_request: HttpRequest, run: ReportRun) -> bool:
    had_it = run.deliveries.exclude(enqueued_at=None).exclude(edition=None)
    number = had_it.aggregate(most=Max("times_sent"))["most"]
    if number is None:
        return False
    tasks.resend.delay(run=run.pk, number=number + 1)
    return True


def _resend_one(_request: HttpRequest, row: ReportDelivery) -> bool:
    if row.enqueued_at is None or row.edition_id is None:
        return False
    tasks.resend.delay(run=row.run_id, number=row.times_sent + 1, addresses=[row.address])
    return True


def _preview(request: HttpRequest, run: ReportRun) -> bool:
    user: Any = request.user
    # A worker of the release before knows nothing of languages.
    chosen = {"language": language} if (language := get_language() or "en") != "en" else {}
    tasks.preview.delay(report=run.report, period=run.period, to=user.email, **chosen)
    return True


PREVIEW = Deed(
    "preview_selected",
    gettext_lazy("Send me a preview"),
    gettext_lazy("It goes to your own address, and to nobody else."),
    gettext_lazy("A preview was sent to whoever asked."),
    _preview,
)
REBUILD = Deed(
    "rebuild_selected",
    gettext_lazy("Build it again"),
    gettext_lazy("Its figures are computed anew, and it says that it was corrected. It is sent to nobody by that."),
    gettext_lazy("To be built again."),
    _rebuild,
)
RESEND = Deed(
    "resend_selected",
    gettext_lazy("Send it again"),
    gettext_lazy(
        "Everybody who had it gets it once more, as it is now. Who has not had it gets it at their hour anyway."
    ),
    gettext_lazy("To be sent again."),
    _resend,
)
RESEND_ONE = Deed(
    "resend_selected",
    gettext_lazy("Send it again"),
    gettext_lazy("These people get it once more, as it is now."),
    gettext_lazy("To be sent again."),
    _resend_one,
)


@admin.register(ReportRun)
class ReportRunAdmin(ReadOnlyAdmin):
    icon = "summarize"
    menu_title = gettext_lazy("Reports")
    menu_order = 2
    list_display = ("report", "period", "whether", "mailed", "built", "corrected")
    list_filter = ("report", "state")
    search_fields = ("period",)
    search_help_text = gettext_lazy("A period, such as 2026-W46")
    actions = ("preview_selected", "rebuild_selected", "resend_selected")
    change_form_template = "reporting/admin/run.html"
    deeds = (PREVIEW, REBUILD, RESEND)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return bool(user.has_perm("reporting.view_reportrun") or self.has_decide_permission(request))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm("reporting.change_reportrun"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportRun]:
        rows: QuerySet[ReportRun] = super().get_queryset(request).defer("figures")
        return rows.annotate(mails=Count("deliveries", filter=~Q(deliveries__enqueued_at=None)))

    def get_urls(self) -> list[URLPattern]:
        file = path(
            "editions/<int:key>/<str:form>",
            self.admin_site.admin_view(self.file_view),
            name="reporting_reportedition_file",
        )
        return [file, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            extra_context = {
                "page": run_page(row),
                "title": title(row),
                "original": title(row),
                "deeds": self.deeds if self.has_decide_permission(request) else (PREVIEW,),
                **(extra_context or {}),
            }
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        answer["Content-Security-Policy"] = FRAME_POLICY
        return answer

    def file_view(self, request: HttpRequest, key: int, form: str) -> Any:
        """A form as it was kept, or ``data``: the figures as JSON."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        edition = ReportEdition.objects.select_related("run").filter(pk=key).first()
        if edition is None:
            raise Http404(_("There is no such edition."))
        if form == "data":
            return _data(edition)
        try:
            return downloads.file(edition, form)
        except NotKept:
            raise Http404(_("That file is not kept. Build the report again, and it is.")) from None

    @admin.action(description=PREVIEW.title, permissions=["view"])
    def preview_selected(self, request: HttpRequest, chosen: QuerySet[ReportRun]) -> HttpResponse | None:
        user: Any = request.user
        if not user.email:
            text = _("Your user has no e-mail address to send a preview to. Add one under Users.")
            self.message_user(request, text, messages.ERROR)
            return None
        return deeds.make(self, request, PREVIEW, chosen)

    @admin.action(description=REBUILD.title, permissions=["decide"])
    def rebuild_selected(self, request: HttpRequest, chosen: QuerySet[ReportRun]) -> HttpResponse | None:
        return deeds.make(self, request, REBUILD, chosen)

    @admin.action(description=RESEND.title, permissions=["decide"])
    def resend_selected(self, request: HttpRequest, chosen: QuerySet[ReportRun]) -> HttpResponse | None:
        return deeds.make(self, request, RESEND, chosen)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def whether(self, row: ReportRun) -> SafeString:
        return html.state_label(state_word(row))

    @admin.display(description=gettext_lazy("mails"))
    def mailed(self, row: Any) -> str:
        return wording.number(row.mails)

    @admin.display(description=gettext_lazy("built"), ordering="built_at")
    def built(self, row: ReportRun) -> SafeString | str:
        return html.ago(row.built_at)

    @admin.display(description=gettext_lazy("corrected"), ordering="corrected_at")
    def corrected(self, row: ReportRun) -> SafeString | str:
        return html.ago(row.corrected_at)


class DeliveryList(ReadOnlyList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        page: Any = self
        page.result_list = list(page.result_list)
        for row, mail in with_states(page.result_list):
            row.mail = mail  # type: ignore[attr-defined]


class BecameFilter(admin.SimpleListFilter):
    title = gettext_lazy("what became of it")
    parameter_name = "became"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("sent", _("handed over")), ("late", _("handed over late")), ("quiet", _("nothing to tell"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return {
            "sent": queryset.exclude(enqueued_at=None),
            "late": queryset.filter(enqueued_at__gt=F("due_at") + LATE_AFTER),
            "quiet": queryset.exclude(withheld=""),
        }.get(self.value() or "", queryset)


@admin.register(ReportDelivery)
class ReportDeliveryAdmin(ReadOnlyAdmin):
    """Who was sent which report."""

    icon = "mark_email_read"
    menu_title = gettext_lazy("Sent to")
    menu_order = 3
    list_display = ("address", "what", "sent", "mail_state", "due")
    list_filter = (BecameFilter, "run__report")
    search_fields = ("address", "run__period")
    search_help_text = gettext_lazy("An address, or a period such as 2026-W46")
    list_select_related = ("run",)
    ordering = ("-pk",)
    sortable_by = ()
    actions = ("resend_selected",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ReadOnlyList]:
        return DeliveryList

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return bool(user.has_perm("reporting.view_reportrun") or self.has_decide_permission(request))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm("reporting.change_reportrun"))

    @admin.action(description=RESEND_ONE.title, permissions=["decide"])
    def resend_selected(self, request: HttpRequest, chosen: QuerySet[ReportDelivery]) -> HttpResponse | None:
        return deeds.make(self, request, RESEND_ONE, chosen)

    @admin.display(description=gettext_lazy("report"))
    def what(self, row: ReportDelivery) -> str:
        return str(row.run)

    @admin.display(description=gettext_lazy("due"))
    def due(self, row: ReportDelivery) -> SafeString | str:
        return html.clock(row.due_at) if row.due_at else html.NOTHING

    @admin.display(description=gettext_lazy("mail"))
    def mail_state(self, row: Any) -> SafeString | str:
        if row.mail is None:
            return html.NOTHING
        return format_html(
            '<a href="{}" title="{}">{}</a>', row.mail.url, row.mail.why, html.state_label(row.mail.word)
        )

    @admin.display(description=gettext_lazy("handed over"))
    def sent(self, row: ReportDelivery) -> SafeString | str:
        if row.enqueued_at:
            return html.clock(row.enqueued_at)
        return _(row.withheld) if row.withheld else html.NOTHING


def _data(edition: ReportEdition) -> HttpResponse:
    answer = HttpResponse(
        json.dumps(edition.document, indent=2, ensure_ascii=False), content_type="application/json; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="{storage.file_name(edition)}.json"'
    return answer
