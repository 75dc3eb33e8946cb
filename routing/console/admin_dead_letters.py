"""Dead letters in the admin: what failed for good, with its message exactly as it was."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import TaskResult

from routing.console import html
from routing.console.admin_messages import MessageDomainFilter
from routing.console.page_parts import result_url
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList
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
    list_display = ("task", "queue", "why", "last_error", "dead", "result")
    list_filter = (MessageDomainFilter, "reason")
    search_fields = ("task_id",)
    search_help_text = _("Task id")
    ordering = ("-dead_at",)
    show_facets = admin.ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DeadLetterList]:
        return DeadLetterList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        """By the exact task id, which has an index."""
        term = search_term.strip().replace("\0", "")
        return (queryset.filter(task_id__in=[term, term.lower()]) if term else queryset), False

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
