"""Decisions about subscriptions and reports in the admin: a page that asks, and then it is done, and logged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MOST = 500
"""Rows at once."""


@dataclass(frozen=True)
class Deed:
    """``do`` tells whether it changed anything; ``told`` is what the log says then."""

    action: str
    title: Any
    means: str | Promise
    told: str | Promise
    do: Callable[[HttpRequest, Any], bool]


def make(admin: Any, request: HttpRequest, deed: Deed, chosen: "QuerySet[Any]") -> HttpResponse | None:
    rows = list(chosen[: MOST + 1])
    if len(rows) > MOST:
        text = _("At most %(most)d at once; narrow the list down first.")
        admin.message_user(request, text % {"most": MOST}, messages.ERROR)
        return None
    if "confirmed" not in request.POST:
        return _ask(admin, request, deed, rows)
    done = sum(_done(request, deed, row) for row in rows)
    _tell(admin, request, deed, done=done, left=len(rows) - done)
    return None


def _ask(admin: Any, request: HttpRequest, deed: Deed, rows: Sequence[Any]) -> HttpResponse:
    context = {
        **admin.admin_site.each_context(request),
        "title": deed.title,
        "opts": admin.opts,
        "deed": deed,
        "rows": rows,
        "checkbox": ACTION_CHECKBOX_NAME,
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "reporting/admin/deed.html", context)


def _done(request: HttpRequest, deed: Deed, row: Any) -> bool:
    # What was done is in the log, or it was not done.
    with transaction.atomic():
        is_done = deed.do(request, row)
        if is_done:
            user: Any = request.user
            LogEntry.objects.log_actions(user.pk, [row], CHANGE, change_message=str(deed.told), single_object=True)
    return is_done


def _tell(admin: Any, request: HttpRequest, deed: Deed, *, done: int, left: int) -> None:
    if done:
        told = ngettext("%(count)d done: %(what)s", "%(count)d done: %(what)s", done)
        admin.message_user(request, told % {"count": done, "what": deed.told}, messages.SUCCESS)
    if left:
        told = ngettext("%(count)d was left as it is.", "%(count)d were left as they are.", left)
        admin.message_user(request, told % {"count": left}, messages.WARNING)
