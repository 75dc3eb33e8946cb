"""What can be done to tasks in flight: told first; a few are done at once, and all that a search finds by a job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from routing.console import log
from routing.console.job_rows import job_url
from routing.console.jobs import asking, verbs
from routing.console.jobs.scopes import InFlight
from routing.console.jobs.verbs import Options, Verb
from routing.console.searching.limit import TookTooLong, time_limit
from routing.domains import registry
from routing.ledger import database, lookup
from routing.ledger.selection import Summary, summary
from routing.ledger.tables import Message

MOST = 500
"""At once, in a request; more than that is a job."""
SECONDS = 2.0
LONGEST_NOTE = 500


@dataclass(frozen=True)
class Deed:
    verb: Verb
    title: str | Promise
    means: str | Promise

    @property
    def action(self) -> str:
        """Its name among the actions of the list."""
        return f"{self.verb.name}_selected"


DEEDS = {
    deed.verb.name: deed
    for deed in (
        Deed(
            verbs.CANCEL,
            gettext_lazy("Cancel"),
            gettext_lazy(
                "Each is REVOKED at once. What has not begun never runs. What runs is ended where you ask for it "
                "below, and otherwise runs on; whatever it comes to counts for nothing."
            ),
        ),
        Deed(
            verbs.RUN_NOW,
            gettext_lazy("Run now"),
            gettext_lazy(
                "What waits for a later time, such as a retry or a delay, is due now. What runs, or waits for "
                "something else than a time, is left as it is."
            ),
        ),
        Deed(
            verbs.MOVE,
            gettext_lazy("Move to another lane"),
            gettext_lazy(
                "What has not begun goes to the end of another lane of its domain; copies that are in RabbitMQ already "
                "are not run. What runs is left as it is."
            ),
        ),
    )
}


@dataclass(frozen=True)
class Asked:
    """What a page asks about. ``found`` is None where counting took too long; ``keys`` are those that were chosen."""

    deed: Deed
    found: Summary | None
    running: int
    keys: Sequence[str] = ()
    scope: InFlight | None = None

    @property
    def lanes(self) -> list[str]:
        """Of the domains that were found; of all, where nobody could count."""
        groups = self.found.groups if self.found else ()
        domains = {group.values["domain"] for group in groups}
        return [queue for each in registry() if not domains or each.name in domains for queue in each.queues]


def may(request: HttpRequest, deed: Deed) -> bool:
    user: Any = request.user
    return bool(user.has_perm(deed.verb.permission))


def to_chosen(admin: Any, request: HttpRequest, deed: Deed, chosen: QuerySet[Any]) -> HttpResponse | None:
    """A page that asks, and once that is answered the deed."""
    keys = list(chosen.order_by("pk").values_list("pk", flat=True)[: MOST + 1])
    if len(keys) > MOST:
        # All that the list shows: by its address, and not by thousands of hidden fields.
        return HttpResponseRedirect(f"all/{deed.verb.name}/?{request.GET.urlencode()}")
    asked = _counted(deed, lookup.messages().filter(pk__in=keys), keys=keys)
    if "confirmed" not in request.POST:
        return _page(admin, request, asked, back="")
    options, mistake = _options(request, asked)
    if mistake:
        messages.error(request, mistake)
        return _page(admin, request, asked, back="")
    # What was done is in the log, or it was not done.
    with database.atomic():
        outcomes = deed.verb.act(keys, _name(request), options)
        _log(request, asked, outcomes, options)
    _tell(admin, request, outcomes)
    return None


def to_all(admin: Any, request: HttpRequest, deed: Deed, scope: InFlight, *, told: str, back: str) -> HttpResponse:
    """A page that asks, and once that is answered a job, and to its page."""
    asked = _counted(deed, scope.rows(), scope=scope)
    if request.method != "POST":
        return _page(admin, request, asked, back=back, told=told)
    options, mistake = _options(request, asked)
    if mistake:
        messages.error(request, mistake)
        return _page(admin, request, asked, back=back, told=told)
    user: Any = request.user
    words = ", ".join(filter(None, [told, options.get("queue", ""), options.get("note", "")]))
    job = asking.ask(
        deed.verb,
        InFlight(scope.terms, scope.narrowed, scope.at, dict(options)),
        user=user,
        told=words,
        expected=asked.found.total if asked.found else None,
        wish=request.POST.get("wish", ""),
    )
    return HttpResponseRedirect(job_url(job))


def _counted(deed: Deed, rows: QuerySet[Any], *, keys: Sequence[str] = (), scope: InFlight | None = None) -> Asked:
    try:
        with time_limit(SECONDS):
            found = summary(rows, by=("task", "queue", "domain"))
            running = rows.filter(owner__isnull=False).count()
    except TookTooLong:
        return Asked(deed, None, 0, keys, scope)
    return Asked(deed, found, running, keys, scope)


def _options(request: HttpRequest, asked: Asked) -> tuple[Options, str]:
    """What was asked for beside the deed itself, or what is wrong with it."""
    if asked.deed.verb is verbs.MOVE:
        queue = request.POST.get("queue", "")
        return {"queue": queue}, "" if queue in asked.lanes else _("Choose one of the lanes. Nothing was done.")
    if asked.deed.verb is not verbs.CANCEL:
        return {}, ""
    note = request.POST.get("note", "").strip()
    options = {"note": note, "terminate": "terminate" in request.POST}
    if "\0" in note or len(note) > LONGEST_NOTE:
        return options, _("The reason must be text of at most %(longest)d characters.") % {"longest": LONGEST_NOTE}
    return options, ""


def _page(admin: Any, request: HttpRequest, asked: Asked, *, back: str, told: str = "") -> HttpResponse:
    context = {
        **admin.admin_site.each_context(request),
        "title": asked.deed.title,
        "opts": admin.opts,
        "deed": asked.deed,
        "asked": asked,
        "told": told,
        "checkbox": ACTION_CHECKBOX_NAME,
        "wish": uuid4().hex,
        "back": back,
        "queue": request.POST.get("queue", ""),
        "note": request.POST.get("note", ""),
    }
    return TemplateResponse(request, "console/task_deed.html", context)


def _log(request: HttpRequest, asked: Asked, outcomes: Any, options: Options) -> None:
    tasks = sorted({group.values["task"] for group in asked.found.groups}) if asked.found else []
    more = ", ".join(str(value) for value in options.values() if value and value is not True)
    told = f"{asked.deed.title}: {log.in_words(outcomes)}. {', '.join(tasks)} {more}: {', '.join(asked.keys)}"
    about = asked.keys[0] if len(asked.keys) == 1 else _("%(count)d tasks in flight") % {"count": len(asked.keys)}
    log.write(request.user, Message, about=about, told=told)


def _tell(admin: Any, request: HttpRequest, outcomes: Any) -> None:
    if not outcomes:
        admin.message_user(request, _("They have ended meanwhile; nothing was done."), messages.WARNING)
    for outcome, count in outcomes.items():
        level = messages.WARNING if outcome.startswith(("left", "not", "already")) else messages.SUCCESS
        admin.message_user(request, f"{log.counted(outcome, count)}.", level)


def _name(request: HttpRequest) -> str:
    user: Any = request.user
    return str(user.get_username())
