"""Pause, resume and run an entry in the admin: what would happen first, and then it is done once, and logged."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from routing.console.page_parts import message_url
from routing.console.schedule_life import due_words
from routing.console.schedule_rows import EntryRow
from routing.ledger import database
from routing.schedule import by_hand
from routing.schedule.by_hand import Refused

SALT = "routing.schedule.run"
AS_SHOWN = 3600
"""Seconds for which a page that asks may be answered."""


@dataclass(frozen=True)
class Deed:
    """``do`` tells people what it did, after it has written that into the admin's log."""

    verb: str
    title: str | Promise
    do: "Callable[[HttpRequest, EntryRow], None]"


def may_decide(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.has_perm("routing.change_scheduleentry"))


def open_to(request: HttpRequest, row: EntryRow) -> list[Deed]:
    """What this user may do with the entry as it is."""
    if not may_decide(request):
        return []
    runs = [RUN] if row.plan.definition else []
    if row.plan.is_paused:
        return [*runs, RESUME]
    return runs if row.plan.entry.removed_at else [*runs, PAUSE]


def make(admin: Any, request: HttpRequest, deed: Deed, row: EntryRow, *, back: str) -> HttpResponse:
    """A page that asks; once that is answered the deed, and back to the entry."""
    if not may_decide(request):
        raise PermissionDenied
    if request.method != "POST":
        return _ask(admin, request, deed, row, back=back)
    try:
        # What was done is in the log, or it was not done.
        with database.atomic():
            deed.do(request, row)
    except Refused as error:
        messages.error(request, str(error))
        return _ask(admin, request, deed, row, back=back) if deed is PAUSE else HttpResponseRedirect(back)
    except (DatabaseError, InterfaceError):
        messages.error(request, _("The database is busy with this entry; nothing was done. Try again in a moment."))
    return HttpResponseRedirect(back)


def _ask(admin: Any, request: HttpRequest, deed: Deed, row: EntryRow, *, back: str) -> HttpResponse:
    context = {
        **admin.admin_site.each_context(request),
        "title": deed.title,
        "opts": admin.opts,
        "deed": deed,
        "row": row,
        "back": back,
        "coming": due_words(row.plan, at=row.life.at) if row.plan.next_due else "",
        "is_waiting": row.last is not None and row.last.is_in_flight,
        "reason": request.POST.get("reason", ""),
        "longest": by_hand.LONGEST_REASON,
        "wish": _wish(request, row) if deed is RUN else "",
    }
    return TemplateResponse(request, "console/schedule_deed.html", context)


def _wish(request: HttpRequest, row: EntryRow) -> str:
    """Names this view of the page: however often its button is pressed, the slot of this moment is taken once."""
    # Between two milliseconds: nothing is due then, and another view has another one.
    at = row.life.at.replace(microsecond=row.life.at.microsecond // 1000 * 1000 + 1 + secrets.randbelow(999))
    return signing.dumps([row.name, request.user.pk, at.isoformat()], salt=SALT)


def _asked_at(request: HttpRequest, row: EntryRow) -> datetime:
    """Raises Refused."""
    try:
        name, user, at = signing.loads(request.POST.get("wish", ""), salt=SALT, max_age=AS_SHOWN)
    except signing.BadSignature:
        raise Refused(_("That page is too old. Nothing was run; press “Run now” again.")) from None
    if (name, user) != (row.name, request.user.pk):
        raise Refused(_("That page was for another entry or user. Nothing was run."))
    return datetime.fromisoformat(at)


def _run(request: HttpRequest, row: EntryRow) -> None:
    ran = by_hand.run(row.name, by=request.user.get_username(), asked_at=_asked_at(request, row))
    _log(request, row, _("Run by hand as %(id)s.") % {"id": ran.task_id})
    link = format_html('<a class="underline" href="{}">{}</a>', message_url(ran.task_id), ran.task_id)
    if ran.has_joined:
        told = _("Its task is in flight already, as {}; it has a unique key, so nothing new was enqueued.")
        messages.warning(request, format_html(told, link))
    else:
        messages.success(request, format_html(_("It is enqueued as {}."), link))


def _pause(request: HttpRequest, row: EntryRow) -> None:
    reason = request.POST.get("reason", "").strip()
    if by_hand.pause(row.name, by=request.user.get_username(), reason=reason):
        _log(request, row, _("Paused: %(reason)s") % {"reason": reason})
        messages.success(
            request, _("%(name)s is paused: nothing of it is fired until it is resumed.") % {"name": row.name}
        )
    else:
        messages.warning(request, _("Somebody has paused it already; nothing has changed."))


def _resume(request: HttpRequest, row: EntryRow) -> None:
    if by_hand.resume(row.name, by=request.user.get_username()):
        _log(request, row, _("Resumed."))
        messages.success(request, _("%(name)s goes on with what is due from now on.") % {"name": row.name})
    else:
        messages.warning(request, _("It is not paused; nothing has changed."))


def _log(request: HttpRequest, row: EntryRow, told: str) -> None:
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, [row.plan.entry], CHANGE, change_message=told, single_object=True)


RUN = Deed("run", gettext_lazy("Run now"), _run)
PAUSE = Deed("pause", gettext_lazy("Pause"), _pause)
RESUME = Deed("resume", gettext_lazy("Resume"), _resume)
DEEDS = (RUN, PAUSE, RESUME)
