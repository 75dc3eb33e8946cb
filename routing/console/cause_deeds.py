"""What can be done about all letters of a cause: told first, then asked for as a job, which has a page of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from routing.console.cause_page import CausePage
from routing.console.cause_rows import SECONDS, cause_url
from routing.console.job_rows import job_url
from routing.console.jobs import asking, stages, verbs
from routing.console.jobs.asking import AtWork
from routing.console.jobs.scopes import OfCause
from routing.console.jobs.stages import Plan
from routing.console.jobs.verbs import Verb
from routing.console.searching.limit import TookTooLong, time_limit
from routing.ledger import database
from routing.ledger.tables import DeadLetter

State = DeadLetter.State


@dataclass(frozen=True)
class Deed:
    """``of``: the state of the letters that it is for; ``staged``: whether it goes on in stages."""

    verb: Verb
    title: str | Promise
    means: str | Promise
    of: str
    staged: bool = False


DEEDS = {
    deed.verb.name: deed
    for deed in (
        Deed(
            verbs.REPLAY,
            gettext_lazy("Replay in stages"),
            gettext_lazy(
                "One is replayed first, then 10, then 1 %, then all, each once the tasks before it have ended. It "
                "stops by itself when the same failure comes back from what was replayed, and can be stopped at any "
                "time. Letters that come later are not part of it."
            ),
            State.OPEN,
            staged=True,
        ),
        Deed(
            verbs.DISCARD,
            gettext_lazy("Discard all"),
            gettext_lazy(
                "Each is marked as done with. They stay until the clean-up removes them, and until then they can be "
                "taken back here."
            ),
            State.OPEN,
        ),
        Deed(
            verbs.RESTORE,
            gettext_lazy("Take back what was discarded"),
            gettext_lazy("Each is open again, as it was before it was discarded."),
            State.DISCARDED,
        ),
    )
}
Render = Callable[..., HttpResponse]


def open_to(page: CausePage) -> list[tuple[Deed, str]]:
    """With their addresses."""
    there = {State.OPEN: page.cause is not None or not page.counted, State.DISCARDED: page.discarded}
    return [(deed, _url(page, deed)) for deed in DEEDS.values() if there[State(deed.of)]]


def make(render: Render, request: HttpRequest, deed: Deed, page: CausePage) -> HttpResponse:
    if request.method == "POST":
        return _ask_for_job(request, deed, page)
    count = _count(deed, page)
    return render(
        request,
        "console/cause_deed.html",
        title=deed.title,
        deed=deed,
        page=page,
        count=count,
        plan=stages.plan(count or 0, until=0).stages if deed.staged else [],
        wish=uuid4().hex,
        back=cause_url(page.fingerprint),
    )


def _ask_for_job(request: HttpRequest, deed: Deed, page: CausePage) -> HttpResponse:
    until, count = stages.newest_letter(), _count(deed, page)
    if count == 0:
        messages.warning(request, _("There is nothing left to decide about."))
        return HttpResponseRedirect(cause_url(page.fingerprint))
    try:
        job = asking.ask(
            deed.verb,
            OfCause(page.fingerprint, str(deed.of), until),
            user=request.user,
            told=_told(page),
            expected=count,
            wish=request.POST.get("wish", ""),
            fingerprint=page.fingerprint,
            plan=_plan(deed, count, until),
        )
    except AtWork as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(job_url(error.job) if error.job else cause_url(page.fingerprint))
    return HttpResponseRedirect(job_url(job))


def _plan(deed: Deed, count: int | None, until: int) -> Plan | None:
    if not deed.staged:
        return None
    return stages.plan(stages.VERY_MANY if count is None else count, until=until)


def _count(deed: Deed, page: CausePage) -> int | None:
    """None where counting takes too long."""
    if deed.of == State.OPEN:
        return (page.cause.count if page.cause else 0) if page.counted else None
    letters = DeadLetter.objects.using(database.using()).filter(fingerprint=page.fingerprint, state=deed.of)
    try:
        with time_limit(SECONDS):
            return letters.count()
    except TookTooLong:
        return None


def _told(page: CausePage) -> str:
    return f"{page.task}: {page.error.strip().partition(chr(10))[0][:200]}"


def _url(page: CausePage, deed: Deed) -> str:
    return reverse("admin:routing_deadletter_cause_deed", args=[page.fingerprint, deed.verb.name])
