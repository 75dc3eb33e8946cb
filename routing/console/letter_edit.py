"""A dead letter replayed with other arguments: what is wrong with them is told, and the letter keeps its own."""

import json
from dataclasses import dataclass, field
from typing import Any

from celery import current_app
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from routing.console import rights
from routing.console.decisions import REPLAY, may_decide
from routing.console.number_words import grouped
from routing.console.page_parts import message_url
from routing.ledger import database
from routing.ledger.renewal import NotATask, arguments_of
from routing.ledger.replay import NO_QUEUE, NO_TASK, REPLAYED, replay_edited
from routing.ledger.tables import DeadLetter

ARGS, KWARGS = "args", "kwargs"
KINDS: dict[str, tuple[type, str]] = {ARGS: (list, "[]"), KWARGS: (dict, "{}")}


@dataclass
class Draft:
    """What was typed, what it says, and what is wrong with it."""

    task: str
    typed: dict[str, str]
    read: dict[str, Any] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def view(admin: Any, request: HttpRequest, number: int) -> HttpResponse:
    """A page with the arguments to be edited; once they are sent, the replay, and back to the letter."""
    if not (admin.has_view_permission(request) and may_decide(request) and rights.sees_payloads(request.user)):
        raise PermissionDenied
    letter = DeadLetter.objects.filter(pk=number).first()
    if letter is None or not rights.covers(request.user, letter.domain):
        raise Http404
    back = HttpResponseRedirect(reverse("admin:routing_deadletter_change", args=[number]))
    try:
        args, kwargs = arguments_of(letter)
    except NotATask:
        messages.error(request, _("There is no task in it, so it has no arguments that could be edited."))
        return back
    if letter.state not in REPLAY.states:
        messages.warning(request, _("Somebody has decided about it already; nothing has changed."))
        return back
    if request.method == "POST":
        sent = checked(letter.task, {name: request.POST.get(name, "") for name in KINDS})
        if sent.mistakes:
            return _ask(admin, request, letter, sent)
        _replay(request, letter, sent)
        return back
    # Secret ones as they are sealed: what is sent back is what the task gets.
    shown = {name: json.dumps(value, indent=2, ensure_ascii=False) for name, value in ((ARGS, args), (KWARGS, kwargs))}
    return _ask(admin, request, letter, Draft(letter.task, shown))


def checked(task: str, typed: dict[str, str]) -> Draft:
    """Arguments that the task could be called with, or what is wrong with them."""
    draft = Draft(task, typed)
    names = {ARGS: _("Positional arguments"), KWARGS: _("Named arguments")}
    for name, (kind, empty) in KINDS.items():
        try:
            draft.read[name] = _parsed(typed[name].strip() or empty)
        except ValueError as error:
            draft.mistakes.append(_("%(name)s: %(what)s") % {"name": names[name], "what": error})
            continue
        if not isinstance(draft.read[name], kind):
            wanted = _("a list, such as [1, 2]") if kind is list else _('an object, such as {"user_id": 42}')
            draft.mistakes.append(_("%(name)s: this must be %(kind)s.") % {"name": names[name], "kind": wanted})
    if not draft.mistakes:
        draft.mistakes += _refused(draft)
    return draft


def url(letter: DeadLetter) -> str:
    return reverse("admin:routing_deadletter_edit", args=[letter.pk])


def _parsed(text: str) -> Any:
    """As strict as everything that reads it later. Raises ValueError, which tells the place and the cure."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        place = {"line": error.lineno, "column": error.colno, "why": error.msg}
        raise ValueError(_("line %(line)d, column %(column)d: %(why)s.") % place) from None
    except RecursionError:
        raise ValueError(_("it is nested too deeply.")) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for number, (name, _value) in enumerate(pairs) if name in dict(pairs[:number]))
        raise ValueError(_("the key “%(name)s” is there twice. Leave out one of them.") % {"name": twice})
    return found


def _no_number(word: str) -> Any:
    raise ValueError(_("%(word)s is no JSON. Write a number, null or a string.") % {"word": word})


def _refused(draft: Draft) -> list[str]:
    args, kwargs = draft.read[ARGS], draft.read[KWARGS]
    size = len(json.dumps([args, kwargs]))
    if size > settings.TASKYARD_MAX_PAYLOAD:
        told = {"size": grouped(size), "limit": grouped(settings.TASKYARD_MAX_PAYLOAD)}
        return [_("They come to %(size)s bytes; the limit is %(limit)s (TASKYARD_MAX_PAYLOAD).") % told]
    # What its code asks for is known where it is loaded; of another program's task nothing is.
    current_app.loader.import_default_modules()
    task: Any = current_app.tasks.get(draft.task)
    if task is not None and task.typing:
        try:
            task.__header__(*args, **kwargs)
        except TypeError as error:
            return [_("%(task)s cannot be called so: %(why)s.") % {"task": draft.task, "why": error}]
    return []


def _replay(request: HttpRequest, letter: DeadLetter, sent: Draft) -> None:
    user: Any = request.user
    # What was done is in the log, or it was not done.
    with database.atomic():
        outcomes = replay_edited(letter.pk, args=sent.read[ARGS], kwargs=sent.read[KWARGS], by=user.get_username())
        if outcomes[REPLAYED]:
            letter.refresh_from_db(fields=["replayed_as"])
            told = _("Replayed with edited arguments as %(id)s.") % {"id": letter.replayed_as}
            LogEntry.objects.log_actions(user.pk, [letter], CHANGE, change_message=told, single_object=True)
    if not outcomes[REPLAYED]:
        messages.warning(request, _why_not(outcomes))
        return
    link = format_html('<a class="underline" href="{}">{}</a>', message_url(letter.replayed_as), letter.replayed_as)
    messages.success(request, format_html(_("It is enqueued anew with your arguments as {}."), link))


def _why_not(outcomes: Any) -> str:
    if outcomes[NO_QUEUE]:
        return _("Nothing was done: no domain has a queue for its task. See project/domains.py.")
    if outcomes[NO_TASK]:
        return _("Nothing was done: no task is in it that could run.")
    return _("Somebody has decided about it already; nothing has changed.")


def _ask(admin: Any, request: HttpRequest, letter: DeadLetter, draft: Draft) -> HttpResponse:
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Edit and replay"),
        "opts": admin.opts,
        "letter": letter,
        "draft": draft,
        "back": reverse("admin:routing_deadletter_change", args=[letter.pk]),
    }
    return TemplateResponse(request, "console/letter_edit.html", context)
