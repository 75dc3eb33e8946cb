"""Jobs in the admin: how far each is and what it came to; who may do what it does may stop it and have it go on."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from routing.console import html, rights
from routing.console.job_rows import JobRow, job_url
from routing.console.jobs import asking
from routing.console.jobs.asking import AtWork
from routing.console.jobs.verbs import VERBS
from routing.console.read_only import ReadOnlyAdmin
from routing.ledger.job_tables import Job

LOOKS_AGAIN = 5
"""Seconds until the page of a job that is watched shows itself anew."""


WATCHED = "watched"


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    icon = "checklist"
    list_display = ("what", "told", "state_label", "progress", "asked_by", "asked")
    list_filter = ("state",)
    search_fields = ("told", "asked_by")
    search_help_text = _("What it is for, or who asked for it")
    ordering = ("-pk",)
    show_facets = admin.ShowFacets.NEVER

    def has_view_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return super().has_view_permission(request, obj) and rights.domains_of(request.user) is None

    def get_urls(self) -> list[Any]:
        def page(view: Any) -> Any:
            return self.admin_site.admin_view(view)

        return [
            path("<int:job_id>/stop/", page(self.stop_view), name="routing_job_stop"),
            path("<int:job_id>/go-on/", page(self.go_on_view), name="routing_job_go_on"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        job = self.get_object(request, object_id)
        if job is None or not self.has_view_permission(request, job):
            page: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
            return page
        row = JobRow(job)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{row.title}: {job.told}",
            "row": row,
            "job": job,
            "may_decide": may_decide(request, job),
            # Only where that is asked for: whoever goes by keyboard would be thrown back to the top each time.
            "looks_again": LOOKS_AGAIN if row.is_open and WATCHED in request.GET else 0,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/job.html", context)

    def stop_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        job = self._decidable(request, job_id)
        if job and asking.stop(job, user=request.user):
            messages.success(request, _("It is stopped. What was done stays done."))
        elif job:
            messages.warning(request, _("It had ended already; nothing has changed."))
        return HttpResponseRedirect(job_url(job) if job else reverse("admin:routing_job_changelist"))

    def go_on_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        job = self._decidable(request, job_id)
        try:
            if job and asking.go_on(job, user=request.user):
                messages.success(request, _("It goes on with the rest."))
            elif job:
                messages.warning(request, _("It does not stand still; nothing has changed."))
        except AtWork as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(job_url(job) if job else reverse("admin:routing_job_changelist"))

    def _decidable(self, request: HttpRequest, job_id: int) -> Job | None:
        """None where there is no such job, or nothing was asked for."""
        job = Job.objects.filter(pk=job_id).first()
        if job is not None and not may_decide(request, job):
            raise PermissionDenied
        return job if request.method == "POST" else None

    @admin.display(description=_("what"), ordering="verb")
    def what(self, job: Job) -> str:
        return JobRow(job).title

    @admin.display(description=_("state"), ordering="state")
    def state_label(self, job: Job) -> SafeString:
        return html.state_label(JobRow(job).state)

    @admin.display(description=_("rows"))
    def progress(self, job: Job) -> str:
        return JobRow(job).figures

    @admin.display(description=_("asked"), ordering="pk")
    def asked(self, job: Job) -> SafeString | str:
        return html.ago(job.asked_at)


def may_decide(request: HttpRequest, job: Job) -> bool:
    user: Any = request.user
    verb = VERBS.get(job.verb)
    return bool(verb and user.has_perm(verb.permission) and rights.domains_of(user) is None)
