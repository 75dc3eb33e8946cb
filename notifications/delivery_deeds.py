"""Decisions about deliveries in the admin: what would happen first, and then it is done once, and logged."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from notifications import deciding
from notifications.deciding import CURES, Fate
from notifications.delivery_words import DeliveryRow, rows_of
from notifications.tables import Delivery

MOST = 500
"""At once on a page; the command takes any number."""
State = Delivery.State


@dataclass(frozen=True)
class Deed:
    """``action`` is the name of the admin's action, ``verb`` that of manage.py deliveries."""

    action: str
    verb: str
    title: str | Promise
    means: str | Promise
    decide: Callable[..., Fate]
    is_open: Callable[[DeliveryRow], bool]


RESEND = Deed(
    "resend_selected",
    "resend",
    gettext_lazy("Send again"),
    gettext_lazy("It is sent by a task of its own, under the same Message-ID and in its own lane."),
    deciding.resend,
    lambda seen: seen.row.is_final or seen.is_stranded,
)
CANCEL = Deed(
    "cancel_selected",
    "cancel",
    gettext_lazy("Cancel"),
    gettext_lazy("What no worker has begun to hand over is not sent, and its task is cancelled."),
    deciding.cancel,
    lambda seen: seen.row.state == State.PENDING,
)
WAS_SENT = Deed(
    "sent_selected",
    "decide --sent",
    gettext_lazy("It was sent"),
    gettext_lazy("It is recorded as sent, and nothing more is done."),
    lambda delivery, *, by: deciding.decide(delivery, was_sent=True, by=by),
    lambda seen: seen.is_undecided,
)
SEND_ANYWAY = Deed(
    "undecided_again_selected",
    "decide --again",
    gettext_lazy("Send it again"),
    gettext_lazy("If the server had taken it after all, the recipient gets it twice, under the same Message-ID."),
    lambda delivery, *, by: deciding.decide(delivery, was_sent=False, by=by),
    lambda seen: seen.is_undecided,
)
DEEDS = (WAS_SENT, SEND_ANYWAY, RESEND, CANCEL)


def may_decide(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.has_perm("notifications.change_delivery"))


def open_to(request: HttpRequest, seen: DeliveryRow) -> list[Deed]:
    """What this user may do with the delivery as it is."""
    if not may_decide(request):
        return []
    deeds = [deed for deed in DEEDS if deed.is_open(seen)]
    return [deed for deed in deeds if deed is not RESEND or not seen.is_undecided]


def make(admin: Any, request: HttpRequest, deed: Deed, chosen: "QuerySet[Delivery]") -> HttpResponse | None:
    """A page that asks, and once that is answered the deed."""
    rows = list(chosen.select_related("notification__template__template")[: MOST + 1])
    if len(rows) > MOST:
        text = _("More than %(most)d are too many for a page. Any number: manage.py deliveries %(verb)s")
        admin.message_user(request, text % {"most": MOST, "verb": deed.verb}, messages.ERROR)
        return None
    if "confirmed" not in request.POST:
        return _ask(admin, request, deed, rows)
    _do(admin, request, deed, rows)
    return HttpResponseRedirect(delivery_url(rows[0].pk)) if len(rows) == 1 else None


def delivery_url(key: int) -> str:
    return reverse("admin:notifications_delivery_change", args=[key])


def _ask(admin: Any, request: HttpRequest, deed: Deed, rows: list[Delivery]) -> HttpResponse:
    seen = rows_of(rows)
    open_ones = [one.row for one in seen.values() if deed.is_open(one)]
    refused, cure = _refusal(deed, open_ones)
    states = Counter(str(seen[row.pk].state.word) for row in open_ones)
    context = {
        **admin.admin_site.each_context(request),
        "title": deed.title,
        "opts": admin.opts,
        "deed": deed,
        "count": 0 if refused else len(open_ones),
        "one": seen[rows[0].pk] if len(rows) == 1 else None,
        "states": [] if refused else states.items(),
        "left_out": len(rows) - len(open_ones),
        "twice": 0 if refused or deed is not RESEND else sum(row.state == State.SENT for row in open_ones),
        "cure": cure,
        "checkbox": ACTION_CHECKBOX_NAME,
        "rows": [(row.pk, f"{row.pk} {_mark(row)}") for row in rows],
        "back": delivery_url(rows[0].pk) if len(rows) == 1 else request.get_full_path(),
    }
    return TemplateResponse(request, "notifications/deed.html", context)


def _refusal(deed: Deed, rows: list[Delivery]) -> tuple[bool, str]:
    """Whether the only one that was chosen would be left, and why."""
    if deed not in (RESEND, SEND_ANYWAY) or len(rows) != 1:
        return False, ""
    refusal = deciding.refusal(rows[0])
    return (True, _(CURES[refusal])) if refusal else (False, "")


def _do(admin: Any, request: HttpRequest, deed: Deed, rows: list[Delivery]) -> None:
    marks = dict(one.split(" ", 1) for one in request.POST.getlist("seen") if " " in one)
    fates: Counter[Fate] = Counter()
    for row in rows:
        fates[_decided(request, deed, row, marks.get(str(row.pk), _mark(row)))] += 1
    for fate, count in fates.items():
        level = messages.SUCCESS if fate.is_done else messages.WARNING
        admin.message_user(request, " ".join(_told(fate, count, rows)), level)


def _decided(request: HttpRequest, deed: Deed, row: Delivery, mark: str) -> Fate:
    if mark != _mark(row):
        return Fate.CHANGED
    # What was done is in the log, or it was not done.
    with transaction.atomic():
        fate = deed.decide(row, by=request.user.get_username())
        if fate.is_done:
            user: Any = request.user
            LogEntry.objects.log_actions(user.pk, [row], CHANGE, change_message=_(_LOGGED[fate]), single_object=True)
    return fate


def _mark(row: Delivery) -> str:
    """Changes with whatever happens to it."""
    return f"{row.state}:{row.attempts_made}:{row.task_id}"


_LOGGED = {
    Fate.RESENT: gettext_noop("To be sent again."),
    Fate.RECORDED: gettext_noop("Recorded as sent."),
    Fate.CANCELLED: gettext_noop("Cancelled."),
}


def _told(fate: Fate, count: int, rows: list[Delivery]) -> Iterator[str]:
    numbered = {"count": count}
    match fate:
        case Fate.RESENT:
            yield ngettext("%(count)d is to be sent again.", "%(count)d are to be sent again.", count) % numbered
        case Fate.RECORDED:
            yield ngettext("%(count)d is recorded as sent.", "%(count)d are recorded as sent.", count) % numbered
        case Fate.CANCELLED:
            yield ngettext("%(count)d is cancelled.", "%(count)d are cancelled.", count) % numbered
        case Fate.CHANGED | Fate.NOT_OPEN:
            yield (
                ngettext(
                    "%(count)d was left as it is, since somebody was first.",
                    "%(count)d were left as they are, since somebody was first.",
                    count,
                )
                % numbered
            )
            if len(rows) == 1:
                yield first(rows[0])
        case _:
            yield ngettext("%(count)d was left.", "%(count)d were left.", count) % numbered
            yield _(CURES[fate])


def first(delivery: Delivery) -> str:
    """Who came before, as far as that is known, and what it is now."""
    now = Delivery.objects.select_related("notification").get(pk=delivery.pk)
    state = rows_of([now])[now.pk].state.word
    if entry := history(delivery).first():
        told = {"who": entry.user, "when": naturaltime(entry.action_time), "what": entry.change_message, "state": state}
        return _("%(who)s, %(when)s: “%(what)s” It is %(state)s now.") % told
    return _("A worker, or somebody on the command line. It is %(state)s now.") % {"state": state}


def history(delivery: Delivery) -> "QuerySet[LogEntry]":
    """What people decided about it on pages, the newest first."""
    kind = get_content_type_for_model(delivery)
    mine = LogEntry.objects.filter(content_type=kind, object_id=str(delivery.pk))
    return mine.select_related("user").order_by("-action_time", "-pk")
