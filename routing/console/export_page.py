"""Exports in the admin: what would be in the file first, then the file itself, and an entry in the log."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_celery_results.models import TaskResult

from routing.console import exports, log
from routing.console.exports import FORMATS, MOST, Row
from routing.console.number_words import grouped
from routing.console.searching.counts import Count
from routing.ledger.tables import Message

CHOSEN = 500
"""At most, of those that are ticked one by one."""


@dataclass(frozen=True)
class Kind:
    """``all`` and ``few`` read the rows: of a scope, or by their keys."""

    name: str
    things: str | Promise
    model: type[Model]
    all: Callable[..., Iterator[Row]]
    few: Callable[..., Iterator[Row]]


RESULTS = Kind("results", gettext_lazy("results"), TaskResult, exports.finished, exports.chosen_results)
TASKS = Kind("tasks-in-flight", gettext_lazy("tasks in flight"), Message, exports.in_flight, exports.chosen_tasks)


def chosen(admin: Any, request: HttpRequest, kind: Kind, rows: QuerySet[Any]) -> HttpResponseBase:
    """Those that were ticked in the list."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[: CHOSEN + 1])
    if len(keys) > CHOSEN:
        text = _("More than %(most)d are chosen. Use “Export” above the list, for all that it shows.")
        messages.error(request, text % {"most": CHOSEN})
        return HttpResponseRedirect(request.get_full_path())
    told = ", ".join(map(str, keys))
    if "confirmed" in request.POST and (found := _format(request)):
        return _file(request, kind, kind.few(keys, user=request.user), found, grouped(len(keys)), told)
    return _ask(admin, request, kind, words=f"{grouped(len(keys))} {kind.things}", keys=keys, told="", back="")


def everything(
    admin: Any, request: HttpRequest, kind: Kind, scope: Any, *, told: str, count: Count | None, back: str
) -> HttpResponse:
    """All that a search finds, and as much of it as a file holds."""
    words = f"{count}" if count and kind is RESULTS else f"{grouped(count.number)} {kind.things}" if count else ""
    if request.method == "POST" and (found := _format(request)):
        streamed: Any = _file(request, kind, kind.all(scope, user=request.user), found, words or _("all"), told)
        return streamed  # type: ignore[no-any-return]
    is_cut = count is None or count.number > MOST
    return _ask(admin, request, kind, words=words, keys=(), told=told, back=back, is_cut=is_cut)


def _ask(admin: Any, request: HttpRequest, kind: Kind, *, words: str, keys: Any, **more: Any) -> HttpResponse:
    if "confirmed" in request.POST:
        messages.error(request, _("Choose CSV or JSON. Nothing was exported."))
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Export"),
        "opts": admin.opts,
        "kind": kind,
        "words": words,
        "keys": keys,
        "most": MOST,
        "checkbox": ACTION_CHECKBOX_NAME,
        **more,
    }
    return TemplateResponse(request, "console/export.html", context)


def _format(request: HttpRequest) -> str:
    asked = request.POST.get("format", "")
    return asked if asked in FORMATS else ""


def _file(request: HttpRequest, kind: Kind, rows: Iterator[Row], form: str, words: str, told: str) -> HttpResponseBase:
    log.write(
        request.user,
        kind.model,
        about=_("%(count)s, exported") % {"count": words},
        told=_("Exported as %(form)s: %(told)s") % {"form": form.upper(), "told": told},
    )
    return exports.response(rows, name=kind.name, kind=form)
