"""The admin pages of the weekly report: who gets it, and what was sent."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import TaskResult
from unfold.admin import ModelAdmin

from reporting import mail, wording
from reporting.models import Recipient, ReportDelivery, ReportRun
from routing.ledger import lookup


@admin.register(Recipient)
class RecipientAdmin(ModelAdmin):
    list_display = ("email", "name", "active", "created_at")
    list_editable = ("active",)
    list_filter = ("active",)
    search_fields = ("email", "name")
    fields = ("email", "name", "active")


@admin.register(ReportRun)
class ReportRunAdmin(ModelAdmin):
    """Runs are made by the task and the command alone; here they are read."""

    list_display = ("period", "state", "finished", "failed", "mails", "built_at")
    list_filter = ("state",)
    search_fields = ("period",)
    fields = ("verdict", "state", "built_at", "sent_to", "preview")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("finished"))
    def finished(self, run: ReportRun) -> str:
        return wording.number(run.read_figures().finished)

    @admin.display(description=_("failed"))
    def failed(self, run: ReportRun) -> str:
        return wording.number(run.read_figures().failed)

    @admin.display(description=_("mails"))
    def mails(self, run: ReportRun) -> int:
        return run.deliveries.exclude(enqueued_at=None).count()

    @admin.display(description=_("verdict"))
    def verdict(self, run: ReportRun) -> str:
        return wording.verdict(run.read_figures())

    @admin.display(description=_("sent to"))
    def sent_to(self, run: ReportRun) -> SafeString | str:
        """Each address, and what became of the task that sends to it."""
        lines = [(delivery.address, state) for delivery, state in _states(run)]
        return format_html_join(mark_safe("<br>"), "{} ({})", lines) or str(_("nobody: no recipient was active"))

    @admin.display(description=_("mail"))
    def preview(self, run: ReportRun) -> SafeString:
        # The sandbox takes scripts, forms and our origin from it: task names are written by whoever enqueues.
        return format_html(
            '<iframe title="{}" sandbox srcdoc="{}" style="width: 100%; height: 720px"></iframe>',
            _("The mail as it was sent"),
            mail.html(run.read_figures()),
        )


def _states(run: ReportRun) -> Iterator[tuple[ReportDelivery, str]]:
    deliveries = list(run.deliveries.all())
    ids = [str(delivery.task_id) for delivery in deliveries]
    # In flight first: a mail that settles between the two looks is then found by the second.
    states = dict(lookup.messages().filter(pk__in=ids).values_list("pk", "state"))
    states |= dict(TaskResult.objects.filter(task_id__in=ids).values_list("task_id", "status"))
    for delivery in deliveries:
        unknown = _("not enqueued yet") if delivery.enqueued_at is None else _("its result is no longer kept")
        yield delivery, str(states.get(str(delivery.task_id), unknown))
