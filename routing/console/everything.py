"""Everything that a list shows: asked about by the list's own address, so that whatever it is narrowed by holds."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from celery import states
from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_celery_results.models import TaskResult

from routing.console import export_page, task_deeds
from routing.console.decisions import may_decide
from routing.console.job_rows import job_url
from routing.console.jobs import asking, verbs
from routing.console.jobs.scopes import Finished, InFlight
from routing.console.searching import counts, written
from routing.console.searching.counts import Count
from routing.console.searching.limit import TookTooLong, time_limit
from routing.console.searching.terms import StateIn, Term

REPLAY, EXPORT = "replay", "export"
OF_RESULTS = "admin:routing_results_all"
OF_TASKS = "admin:routing_message_all"
COUNTED_FOR = 1.0
PLACES = ("before", "after", "p")
"""In the address of a list, which of its pages is shown."""
FAILED = StateIn("state:failure", (states.FAILURE,))


def links(request: HttpRequest, view: str) -> list[tuple[str | Promise, str]]:
    """What this user may have done with all of it, and where."""
    found: list[tuple[str | Promise, str]] = []
    if view == OF_RESULTS and may_decide(request):
        found.append((gettext_lazy("Replay the failures"), REPLAY))
    if view == OF_TASKS:
        found += [(deed.title, name) for name, deed in task_deeds.DEEDS.items() if task_deeds.may(request, deed)]
    query = _query(request)
    return [
        (words, f"{reverse(view, args=[verb])}{'?' if query else ''}{query}")
        for words, verb in [*found, (gettext_lazy("Export"), EXPORT)]
    ]


def results(admin: Any, request: HttpRequest, verb: str) -> HttpResponse:
    back = _back(request, "admin:django_celery_results_taskresult_changelist")
    if verb not in (REPLAY, EXPORT):
        raise Http404
    shown = _shown(admin, request)
    if shown is None or shown.mistakes:
        return HttpResponseRedirect(back)
    if verb == EXPORT:
        scope = Finished(written.write(shown.asked), timezone.now().isoformat())
        return export_page.everything(
            admin, request, export_page.RESULTS, scope, told=_words(shown.asked), count=_count(scope), back=back
        )
    if not may_decide(request):
        raise PermissionDenied
    return _replay(admin, request, (*shown.asked, FAILED), back=back)


def tasks(admin: Any, request: HttpRequest, verb: str) -> HttpResponse:
    back = _back(request, "admin:routing_message_changelist")
    deed = task_deeds.DEEDS.get(verb)
    if deed is None and verb != EXPORT:
        raise Http404
    shown = _shown(admin, request)
    if shown is None or shown.mistakes:
        return HttpResponseRedirect(back)
    told = _words(shown.asked, [f"{name}:{value}" for name, value in shown.narrowed.items()])
    scope = InFlight(written.write(shown.asked), shown.narrowed, timezone.now().isoformat())
    if deed is None:
        count = None if shown.stopped else Count(shown.result_count)
        return export_page.everything(admin, request, export_page.TASKS, scope, told=told, count=count, back=back)
    if not task_deeds.may(request, deed):
        raise PermissionDenied
    return task_deeds.to_all(admin, request, deed, scope, told=told, back=back)


def _replay(admin: Any, request: HttpRequest, asked: Sequence[Any], *, back: str) -> HttpResponse:
    """A page that asks, and once that is answered a job, and to its page."""
    scope, told = Finished(written.write(asked), timezone.now().isoformat()), _words(asked)
    count = _count(scope)
    if request.method == "POST":
        job = asking.ask(
            verbs.REPLAY_RESULTS,
            scope,
            user=request.user,
            told=told,
            expected=count.number if count else None,
            wish=request.POST.get("wish", ""),
        )
        return HttpResponseRedirect(job_url(job))
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Replay the failures"),
        "opts": admin.opts,
        "count": count,
        "told": told,
        "wish": uuid4().hex,
        "back": back,
    }
    return TemplateResponse(request, "console/replay_all.html", context)


def _count(scope: Finished) -> Count | None:
    """Exact or estimated, as it says; None where each row would have to be looked at, or it takes too long."""
    try:
        with time_limit(COUNTED_FOR):
            return counts.count(TaskResult.objects.all(), scope.question)
    except TookTooLong:
        return None


def _shown(admin: Any, request: HttpRequest) -> Any:
    """The list as it is at this address; None where that cannot be read."""
    if not admin.has_view_permission(request):
        raise PermissionDenied
    try:
        return admin.get_changelist_instance(request)
    except IncorrectLookupParameters:
        messages.error(request, _("The address cannot be read, so nothing was done."))
        return None


def _words(asked: Sequence[Term | Any], more: Sequence[str] = ()) -> str:
    return " ".join([*(term.word for term in asked), *more]) or _("everything")


def _query(request: HttpRequest) -> str:
    """What narrows the list, and not which page of it is shown."""
    query = request.GET.copy()
    for name in PLACES:
        query.pop(name, None)
    return query.urlencode()


def _back(request: HttpRequest, view: str) -> str:
    query = _query(request)
    return f"{reverse(view)}{'?' if query else ''}{query}"
