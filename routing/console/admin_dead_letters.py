"""Dead letters in the admin: what failed for good or could not be processed, to be replayed or discarded."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import TaskResult

from routing.console import html, letter_edit, revealing, rights
from routing.console.admin_causes import CausePages
from routing.console.admin_messages import MessageDomainFilter
from routing.console.choice_filters import choice_of
from routing.console.dead_letter_page import can_run, dead_letter_page, state_of
from routing.console.decisions import DISCARD, REPLAY, RESTORE, Decision, make, may_decide
from routing.console.page_parts import result_url
from routing.console.period_filters import within
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList
from routing.console.sight import seen_by
from routing.ledger.selection import LONGEST_NUMBER
from routing.ledger.tables import DeadLetter


class DeadLetterList(ReadOnlyList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        ids = [letter.task_id for letter in self.result_list]
        keys = dict(TaskResult.objects.filter(task_id__in=ids).values_list("task_id", "pk"))
        for letter in self.result_list:
            letter.result_key = keys.get(letter.task_id)


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    icon = "drafts"
    more_pages = ((_("Causes of failures"), "troubleshoot", "admin:routing_deadletter_causes"),)
    list_display = ("name", "its_queue", "why", "last_error", "dead", "state_label", "result")
    list_filter = (
        MessageDomainFilter,
        ("state", choice_of(_("state"))),
        ("reason", choice_of(_("reason"))),
        within("dead_at", _("set aside")),
        within("decided_at", _("decided"), parameter="decided"),
    )
    search_fields = ("task_id",)
    search_help_text = _("Task id, number or fingerprint")
    ordering = ("-dead_at",)
    show_facets = admin.ShowFacets.NEVER
    actions = ("replay_selected", "discard_selected", "restore_selected")
    list_before_template = "console/letter_list_head.html"
    change_form_template = "console/result.html"

    def get_urls(self) -> list[Any]:
        edit = self.admin_site.admin_view(self.edit_view)
        own = [path("<int:number>/edit/", edit, name="routing_deadletter_edit"), *CausePages(self).urls()]
        return [*own, *super().get_urls()]

    def edit_view(self, request: HttpRequest, number: int) -> HttpResponse:
        return letter_edit.view(self, request, number)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DeadLetterList]:
        return DeadLetterList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        """By what has an index."""
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        found = Q(task_id__in=[term, term.lower()]) | Q(fingerprint=term.lower())
        if term.isascii() and term.isdigit() and len(term) < LONGEST_NUMBER:
            found |= Q(pk=int(term))
        return queryset.filter(found), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        rows: QuerySet[DeadLetter] = super().get_queryset(request)
        if (domains := rights.domains_of(request.user)) is not None:
            rows = rows.filter(domain__in=domains)
        match = request.resolver_match
        # A list of fifty must not load fifty bodies, which may be long.
        if match is not None and match.url_name == "routing_deadletter_changelist":
            return rows.defer("headers", "properties", "body", "raw", "traceback", "history")
        return rows

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        # Causes are told of all domains together.
        extra = {"may_see_causes": rights.domains_of(request.user) is None, **(extra_context or {})}
        page: TemplateResponse = super().changelist_view(request, extra)
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            secrets = revealing.sealed_in_body(row.content)
            if (revealed := revealing.answer(self, request, row, secrets, task=row.task)) is not None:
                return revealed
            extra_context = {
                "page": seen_by(request.user, dead_letter_page(row)),
                "secrets": revealing.offered(request, secrets),
                "title": row.task or row.get_reason_display().capitalize(),
                "subtitle": row.get_state_display(),
                "original": f"{row.pk}",
                "decisions": self._open_to(request, row),
                "decisions_url": reverse("admin:routing_deadletter_changelist"),
                "decisions_key": row.pk,
                "decision_links": self._links(request, row),
                **(extra_context or {}),
            }
        page: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return page

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return may_decide(request)

    @admin.action(description=_("Replay selected dead letters"), permissions=["decide"])
    def replay_selected(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> HttpResponse | None:
        return make(self, request, REPLAY, chosen=chosen, letters=chosen)

    @admin.action(description=_("Discard selected dead letters"), permissions=["decide"])
    def discard_selected(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> HttpResponse | None:
        return make(self, request, DISCARD, chosen=chosen, letters=chosen)

    @admin.action(description=_("Take back selected, which were discarded"), permissions=["decide"])
    def restore_selected(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> HttpResponse | None:
        return make(self, request, RESTORE, chosen=chosen, letters=chosen)

    def _links(self, request: HttpRequest, row: DeadLetter) -> list[tuple[Any, str]]:
        may_edit = may_decide(request) and rights.sees_payloads(request.user)
        if not may_edit or row.state not in REPLAY.states or not can_run(row):
            return []
        return [(_("Edit and replay"), letter_edit.url(row))]

    def _open_to(self, request: HttpRequest, row: DeadLetter) -> list[Decision]:
        if not may_decide(request):
            return []
        decisions = [REPLAY, DISCARD, RESTORE] if can_run(row) else [DISCARD, RESTORE]
        return [decision for decision in decisions if row.state in decision.states]

    @admin.display(description=_("task"), ordering="task")
    def name(self, letter: DeadLetter) -> str:
        return letter.task or html.NOTHING

    @admin.display(description=_("queue"), ordering="queue")
    def its_queue(self, letter: DeadLetter) -> str:
        return letter.queue

    @admin.display(description=_("state"), ordering="state")
    def state_label(self, letter: DeadLetter) -> SafeString:
        return html.state_label(state_of(letter))

    @admin.display(description=_("reason"), ordering="reason")
    def why(self, letter: DeadLetter) -> str:
        return letter.get_reason_display()

    @admin.display(description=_("error"), empty_value=html.NOTHING)
    def last_error(self, letter: DeadLetter) -> SafeString | None:
        return html.shortened(Truncator(letter.error).chars(90), whole=letter.error) if letter.error else None

    @admin.display(description=_("set aside"), ordering="dead_at")
    def dead(self, letter: DeadLetter) -> SafeString | str:
        return html.ago(letter.dead_at)

    @admin.display(description=_("result"), empty_value=html.NOTHING)
    def result(self, letter: Any) -> SafeString | None:
        if letter.result_key is None:
            return None
        return format_html('<a class="underline" href="{}">{}</a>', result_url(letter.result_key), _("Show"))
