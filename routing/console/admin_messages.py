"""Tasks in flight in the admin: where each of them is, and what it waits for."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import TaskResult

from routing.console import everything, export_page, html, revealing, rights, task_deeds
from routing.console.message_page import message_page
from routing.console.message_rows import MessageRow, workers_of
from routing.console.page_parts import result_url
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList
from routing.console.result_list import STOPPED_AFTER
from routing.console.result_rows import STATES
from routing.console.searching import in_flight
from routing.console.searching.limit import TookTooLong, time_limit
from routing.console.searching.parser import parse
from routing.console.searching.permitted import permitted
from routing.console.searching.terms import DomainIn
from routing.console.searching.words import HINT, WORDS, Word, completions, vocabulary
from routing.console.sight import seen_by
from routing.domains import registry
from routing.ledger import lookup
from routing.ledger.enqueue import OUTCOMES
from routing.ledger.tables import Message


class MessageDomainFilter(admin.SimpleListFilter):
    title = _("domain")
    parameter_name = "domain"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(domain.name, domain.title) for domain in registry()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(domain=self.value()) if self.value() else queryset


class QueueFilter(admin.SimpleListFilter):
    """Offers the queues that domains declare; any other can be given in the URL."""

    title = _("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(self.parameter_name)
        names = dict.fromkeys([*registry().pools, *filter(None, [asked])])
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(queue=self.value()) if self.value() else queryset


class MessageStateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(state.value, state.word) for state in STATES.values() if state.value not in OUTCOMES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class MessageList(ReadOnlyList):
    queryset: "QuerySet[Message]"
    stopped = False

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> "QuerySet[Message]":
        rows: QuerySet[Message] = super().get_queryset(request, exclude_parameters)
        self.vocabulary, now = vocabulary(), timezone.now()
        found = parse(self.query, known=self.vocabulary, now=now)
        search = permitted(found, payloads=rights.sees_payloads(request.user))
        self.mistakes, self.asked = search.mistakes, search.terms
        if (domains := rights.domains_of(request.user)) is not None:
            # The rows are theirs already; this is for what is asked about all of them.
            self.asked = (*self.asked, DomainIn("", tuple(sorted(domains))))
        return rows.filter(in_flight.whole(search.terms, now=now)) if not search.mistakes else rows.none()

    def get_results(self, request: HttpRequest) -> None:
        self.everything = everything.links(request, everything.OF_TASKS)
        try:
            with time_limit(STOPPED_AFTER):
                self._read(request)
        except TookTooLong:
            self.stopped = True
            self.queryset = self.root_queryset.none()
            self._read(request)

    @property
    def narrowed(self) -> dict[str, str]:
        """By the filters, whose names are those of columns."""
        return {str(each.parameter_name): str(each.value()) for each in self.filter_specs if each.value()}

    @property
    def words(self) -> Iterable[Word]:
        return WORDS.values()

    @property
    def completions(self) -> list[str]:
        return completions(self.vocabulary)

    def _read(self, request: HttpRequest) -> None:
        super().get_results(request)
        workers = workers_of(self.result_list)
        for row in self.result_list:
            row.seen = MessageRow(row, worker=workers.get(row.owner))


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    icon = "pending_actions"
    # No column for the domain: its name is what the queue begins with, and the window is narrow.
    list_display = ("name", "queue", "state_label", "attempt", "enqueued", "due", "running", "last_error")
    list_filter = (MessageDomainFilter, QueueFilter, MessageStateFilter)
    search_fields = ("id",)
    search_help_text = HINT
    ordering = ("-created_at",)
    show_facets = admin.ShowFacets.NEVER
    list_before_template = "console/message_list_head.html"
    change_form_template = "console/result.html"
    actions = ("cancel_selected", "run_now_selected", "move_selected", "export_selected")

    class Media:
        js = ("console/search.js",)

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(self.all_view)
        return [path("all/<slug:verb>/", page, name="routing_message_all"), *super().get_urls()]

    def all_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        return everything.tasks(self, request, verb)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return task_deeds.may(request, task_deeds.DEEDS["cancel"])

    @admin.action(description=_("Cancel selected tasks"), permissions=["decide"])
    def cancel_selected(self, request: HttpRequest, chosen: QuerySet[Message]) -> HttpResponse | None:
        return task_deeds.to_chosen(self, request, task_deeds.DEEDS["cancel"], chosen)

    @admin.action(description=_("Run selected tasks now"), permissions=["decide"])
    def run_now_selected(self, request: HttpRequest, chosen: QuerySet[Message]) -> HttpResponse | None:
        return task_deeds.to_chosen(self, request, task_deeds.DEEDS["run_now"], chosen)

    @admin.action(description=_("Move selected tasks to another lane"), permissions=["decide"])
    def move_selected(self, request: HttpRequest, chosen: QuerySet[Message]) -> HttpResponse | None:
        return task_deeds.to_chosen(self, request, task_deeds.DEEDS["move"], chosen)

    @admin.action(description=_("Export selected tasks"), permissions=["view"])
    def export_selected(self, request: HttpRequest, chosen: QuerySet[Message]) -> HttpResponseBase:
        return export_page.chosen(self, request, export_page.TASKS, chosen)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[MessageList]:
        return MessageList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        rows = lookup.messages()
        if (domains := rights.domains_of(request.user)) is not None:
            rows = rows.filter(domain__in=domains)
        match = request.resolver_match
        # A list of fifty must not load fifty bodies, which may be long.
        if match is not None and match.url_name == "routing_message_changelist":
            return rows.defer("body", "headers", "properties", "progress")
        return rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        # MessageList reads it.
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        term = request.GET.get("q", "").strip()
        context = {"title": _("Tasks in flight"), "elsewhere": result_of(term), **(extra_context or {})}
        page: TemplateResponse = super().changelist_view(request, context)
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        may_see = self.has_view_permission(request, row)
        if may_see and row is None and (elsewhere := result_of(unquote(object_id))):
            # It has finished since the link was made.
            return HttpResponseRedirect(elsewhere)
        if may_see and row is not None:
            secrets = revealing.sealed_in_body(row.body)
            if (revealed := revealing.answer(self, request, row, secrets, task=row.task)) is not None:
                return revealed
            extra_context = {
                "page": seen_by(request.user, message_page(row)),
                "secrets": revealing.offered(request, secrets),
                "title": row.task,
                "subtitle": row.pk,
                "original": row.pk,
                "decisions": [deed for deed in task_deeds.DEEDS.values() if task_deeds.may(request, deed)],
                "decisions_url": reverse("admin:routing_message_changelist"),
                "decisions_key": row.pk,
                **(extra_context or {}),
            }
        page: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return page

    @admin.display(description=_("task"), ordering="task")
    def name(self, row: Message) -> str:
        return row.task

    @admin.display(description=_("state"), ordering="state")
    def state_label(self, row: Any) -> SafeString:
        return html.state_label(row.seen.state)

    @admin.display(description=_("enqueued"), ordering="created_at")
    def enqueued(self, row: Message) -> SafeString | str:
        return html.ago(row.created_at)

    @admin.display(description=_("due"), ordering="due_at")
    def due(self, row: Any) -> SafeString | str:
        return html.ago(row.due_at) if row.seen.due_later else html.NOTHING

    @admin.display(description=_("running"), ordering="started_at")
    def running(self, row: Any) -> SafeString | str:
        return html.running(row.seen.ran, row.seen.worker_name, queue=row.queue)

    @admin.display(description=_("last error"), empty_value=html.NOTHING)
    def last_error(self, row: Message) -> SafeString | None:
        return html.shortened(Truncator(row.error).chars(60), whole=row.error) if row.error else None


def result_of(task_id: str) -> str:
    """Where the result of this task is; empty if there is none."""
    if not task_id:
        return ""
    found = TaskResult.objects.filter(task_id=task_id.replace("\0", "")).values_list("pk", flat=True).first()
    return result_url(found) if found else ""
