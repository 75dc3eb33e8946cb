"""Results in the admin: to be found, read and never changed."""

from typing import Any

from celery import states
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import GroupResult, TaskResult

from routing.console import everything, export_page, html, revealing, rights
from routing.console.decisions import REPLAY, make, may_decide
from routing.console.period_filters import CountedInFilter, FinishedInFilter, TriedAgainFilter
from routing.console.read_only import ReadOnlyAdmin
from routing.console.result_filters import DayFilter, DomainFilter, StateFilter, TaskFilter
from routing.console.result_list import ResultList
from routing.console.result_page import result_page
from routing.console.result_rows import ResultRow
from routing.console.searching import finished
from routing.console.searching.words import HINT
from routing.console.sight import seen_by
from routing.ledger.results import task_names
from routing.ledger.tables import DeadLetter

# Both packages' apps come before this one, so that their own pages are there to be taken away.
admin.site.unregister(TaskResult)
admin.site.unregister(GroupResult)


@admin.register(TaskResult)
class ResultAdmin(ReadOnlyAdmin):
    list_display = ("task", "domain", "queue", "state", "enqueued", "waited", "ran", "worker_name")
    list_filter = (
        DomainFilter,
        StateFilter,
        TaskFilter,
        DayFilter,
        FinishedInFilter,
        CountedInFilter,
        TriedAgainFilter,
    )
    # What it finds is the business of ResultList; the theme shows the box where there are some.
    search_fields = ("task_id",)
    search_help_text = HINT
    # By time alone: the pages lead from place to place in it.
    ordering = ("-date_created", "-pk")
    sortable_by = ()
    # Each choice of each filter would be counted by itself.
    show_facets = admin.ShowFacets.NEVER
    list_before_template = "console/result_list_head.html"
    change_form_template = "console/result.html"
    actions = ("replay_selected", "export_selected")

    class Media:
        js = ("console/search.js",)

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(self.all_view)
        return [path("all/<slug:verb>/", page, name="routing_results_all"), *super().get_urls()]

    def all_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        return everything.results(self, request, verb)

    @admin.action(description=_("Export selected results"), permissions=["view"])
    def export_selected(self, request: HttpRequest, chosen: QuerySet[TaskResult]) -> HttpResponseBase:
        return export_page.chosen(self, request, export_page.RESULTS, chosen)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaskResult]:
        rows: QuerySet[TaskResult] = super().get_queryset(request)
        if (domains := rights.domains_of(request.user)) is not None:
            rows = rows.filter(finished.of_domains(domains, names=task_names))
        if _is_list(request):
            # A list of fifty must not load fifty results, which may be long.
            return rows.defer("result", "traceback", "task_args", "task_kwargs")
        return rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ResultList]:
        return ResultList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TaskResult], search_term: str
    ) -> tuple[QuerySet[TaskResult], bool]:
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        context = {"title": _("Results"), **(extra_context or {})}
        page: TemplateResponse = super().changelist_view(request, context)
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            task, secrets = row.task_name or row.task_id, revealing.sealed_in_texts(row.task_args, row.task_kwargs)
            if (revealed := revealing.answer(self, request, row, secrets, task=task)) is not None:
                return revealed
            extra_context = {
                "page": seen_by(request.user, result_page(row)),
                "secrets": revealing.offered(request, secrets),
                "title": row.task_name or row.task_id,
                "subtitle": ResultRow(row).state.word,
                # A text keeps DCR's name for the row, which shows Celery's state in brackets, out of the heading.
                "original": row.task_id,
                "decisions": [REPLAY] if may_decide(request) and self._letters([row.task_id]).exists() else [],
                "decisions_url": reverse("admin:django_celery_results_taskresult_changelist"),
                "decisions_key": row.pk,
                **(extra_context or {}),
            }
        page: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return page

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return may_decide(request)

    @admin.action(description=_("Replay selected failures"), permissions=["decide"])
    def replay_selected(self, request: HttpRequest, chosen: QuerySet[TaskResult]) -> HttpResponse | None:
        failed = chosen.filter(status=states.FAILURE).order_by()
        return make(self, request, REPLAY, chosen=chosen, letters=self._letters(failed.values("task_id")))

    def _letters(self, task_ids: Any) -> "QuerySet[DeadLetter]":
        """Those that can be replayed."""
        return DeadLetter.objects.filter(task_id__in=task_ids, state__in=REPLAY.states)

    @admin.display(description=_("task"))
    def task(self, row: TaskResult) -> str:
        return str(row.task_name or row.task_id)

    @admin.display(description=_("domain"), empty_value=html.NOTHING)
    def domain(self, row: TaskResult) -> str | None:
        domain = ResultRow(row).domain
        return domain.title if domain else None

    @admin.display(description=_("queue"), empty_value=html.NOTHING)
    def queue(self, row: TaskResult) -> str:
        return ResultRow(row).queue

    @admin.display(description=_("state"))
    def state(self, row: TaskResult) -> SafeString:
        return html.state_label(ResultRow(row).state)

    @admin.display(description=_("enqueued"))
    def enqueued(self, row: TaskResult) -> SafeString | str:
        return html.ago(row.date_created)

    @admin.display(description=_("waited"))
    def waited(self, row: TaskResult) -> SafeString | str:
        return html.length(ResultRow(row).waited)

    @admin.display(description=_("ran"))
    def ran(self, row: TaskResult) -> SafeString | str:
        return html.length(ResultRow(row).ran)

    @admin.display(description=_("worker"), empty_value=html.NOTHING)
    def worker_name(self, row: TaskResult) -> SafeString | str | None:
        return html.worker(row.worker, queue=ResultRow(row).queue)


def _is_list(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and match.url_name in (
        "django_celery_results_taskresult_changelist",
        "routing_results_all",
    )
