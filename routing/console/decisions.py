"""Decisions about dead letters in the admin: what would happen to how many first, and then it is done and logged."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celery import current_app
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from routing import faults
from routing.console.page_parts import message_url
from routing.ledger import database, fingerprint
from routing.ledger.replay import DECIDED, NO_QUEUE, NO_TASK, RESTORED, discard, replay, restore
from routing.ledger.selection import summary
from routing.ledger.tables import DeadLetter

MOST = 500
"""At once on a page; the command takes any number."""
State = DeadLetter.State


@dataclass(frozen=True)
class Decision:
    """``action`` is the name of the admin's action, ``states`` those that it can be made in."""

    action: str
    verb: str
    title: str | Promise
    means: str | Promise
    states: tuple[str, ...]
    outcome: str
    decide: Callable[..., Counter[str]]


REPLAY = Decision(
    "replay_selected",
    "replay",
    gettext_lazy("Replay"),
    gettext_lazy(
        "Each is enqueued anew, under a new id, with all that is still to follow it. A member of a chord that still "
        "waits for others takes its place again; where the chord is over, it runs by itself."
    ),
    (State.OPEN, State.DISCARDED),
    State.REPLAYED,
    replay,
)
DISCARD = Decision(
    "discard_selected",
    "discard",
    gettext_lazy("Discard"),
    gettext_lazy(
        "Each is marked as done with. It stays here until the clean-up removes it, and can still be replayed, or taken "
        "back."
    ),
    (State.OPEN,),
    State.DISCARDED,
    discard,
)
RESTORE = Decision(
    "restore_selected",
    "restore",
    gettext_lazy("Take back"),
    gettext_lazy("Each is open again, as it was before it was discarded."),
    (State.DISCARDED,),
    RESTORED,
    restore,
)


def may_decide(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.has_perm("routing.change_deadletter"))


def make(
    admin: Any, request: HttpRequest, decision: Decision, *, chosen: QuerySet[Any], letters: "QuerySet[DeadLetter]"
) -> HttpResponse | None:
    """A page that asks, and once that is answered the deed. ``chosen`` are the rows of the list it was asked from."""
    if (count := chosen.count()) > MOST:
        text = _("%(count)d are too many for a page. At most %(most)d are; any number: manage.py dead_letters %(verb)s")
        admin.message_user(request, text % {"count": count, "most": MOST, "verb": decision.verb}, messages.ERROR)
        return None
    decidable = letters.filter(state__in=decision.states)
    if "confirmed" in request.POST:
        _do(admin, request, decision, list(decidable.values_list("pk", flat=True)))
        return None
    return _ask(admin, request, decision, chosen=chosen, decidable=decidable)


def _ask(
    admin: Any, request: HttpRequest, decision: Decision, *, chosen: QuerySet[Any], decidable: "QuerySet[DeadLetter]"
) -> HttpResponse:
    fingerprint.work_out()
    found = summary(decidable, by=("task", "reason", "fingerprint"), example="error")
    keys = list(chosen.values_list("pk", flat=True))
    words = dict(DeadLetter.Reason.choices)
    groups = [{**group.values, "why": words[group.values["reason"]], "count": group.count} for group in found.groups]
    context = {
        **admin.admin_site.each_context(request),
        "title": decision.title,
        "opts": admin.opts,
        "decision": decision,
        "found": found,
        "groups": groups,
        "left_out": len(keys) - found.total,
        "checkbox": ACTION_CHECKBOX_NAME,
        "keys": keys,
    }
    return TemplateResponse(request, "console/decision.html", context)


def _do(admin: Any, request: HttpRequest, decision: Decision, keys: Sequence[int]) -> None:
    # What a task asks for, such as to start at most once, its code knows.
    current_app.loader.import_default_modules()
    by = request.user.get_username()
    # In one order, so that two who decide about the same wait for each other, and neither for ever.
    keys = sorted(keys)
    # What was done is in the log, or it was not done.
    with database.atomic():
        outcomes = decision.decide(keys, by=by)
        decided = list(decided_by(decision, keys, by).only("task", "task_id", "reason", "replayed_as"))
        faults.point("deed.done")
        _log(request, decision, decided)
    done = outcomes.pop(decision.outcome, 0)
    if done == 1 and decision is REPLAY:
        new_id = decided[0].replayed_as
        link = format_html('<a class="underline" href="{}">{}</a>', message_url(new_id), new_id)
        admin.message_user(request, format_html(_("It is enqueued anew as {}."), link), messages.SUCCESS)
    elif done:
        admin.message_user(request, _done(decision, done), messages.SUCCESS)
    for outcome, count in outcomes.items():
        admin.message_user(request, _left(outcome, count), messages.WARNING)
    if not done and not outcomes:
        admin.message_user(request, _("There is nothing left to decide about."), messages.WARNING)


def decided_by(decision: Decision, keys: Sequence[int], by: str) -> "QuerySet[DeadLetter]":
    letters = DeadLetter.objects.filter(pk__in=keys).order_by("pk")
    # What is open again has been decided about by nobody.
    return (
        letters.filter(state=State.OPEN)
        if decision is RESTORE
        else letters.filter(state=decision.outcome, decided_by=by)
    )


def _log(request: HttpRequest, decision: Decision, letters: Sequence[DeadLetter]) -> None:
    """One entry, whose words tell of which tasks and numbers they are."""
    if not letters:
        return
    user: Any = request.user
    told = _of_one(decision, letters[0]) if len(letters) == 1 else _of_several(decision, letters)
    LogEntry.objects.log_actions(user.pk, [letters[0]], CHANGE, change_message=told, single_object=True)


def _of_one(decision: Decision, letter: DeadLetter) -> str:
    if decision is REPLAY:
        return _("Replayed as %(id)s.") % {"id": letter.replayed_as}
    return _("Taken back.") if decision is RESTORE else _("Discarded.")


def _of_several(decision: Decision, letters: Sequence[DeadLetter]) -> str:
    tasks = ", ".join(sorted({letter.task or _("no task") for letter in letters}))
    numbers = ", ".join(str(letter.pk) for letter in letters)
    return _("%(what)s: %(count)d dead letters of %(tasks)s, numbers %(numbers)s.") % {
        "what": decision.title,
        "count": len(letters),
        "tasks": tasks,
        "numbers": numbers,
    }


def _done(decision: Decision, count: int) -> str:
    if decision is REPLAY:
        text = ngettext("%(count)d task is enqueued anew.", "%(count)d tasks are enqueued anew.", count)
    elif decision is RESTORE:
        text = ngettext("%(count)d dead letter is open again.", "%(count)d dead letters are open again.", count)
    else:
        text = ngettext("%(count)d dead letter is discarded.", "%(count)d dead letters are discarded.", count)
    return text % {"count": count}


def _left(outcome: str, count: int) -> str:
    why = {
        DECIDED: _("somebody has decided about it already"),
        NO_TASK: _("no task is in it that could run; its page tells what to do"),
        NO_QUEUE: _("no domain has a queue for its task: see project/domains.py"),
    }
    return ngettext("%(count)d is left: %(why)s.", "%(count)d are left: %(why)s.", count) % {
        "count": count,
        "why": why.get(outcome, outcome),
    }
