"""Pause and resume a queue, and resize a pool, in the admin: what would happen first, then it is done and logged."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from routing.broker import remote
from routing.broker.inspection import BrokerUnavailable
from routing.console import lives
from routing.console.number_words import grouped
from routing.console.pool_page import ask_size, may_change
from routing.domains import Pool, registry
from routing.ledger import database, pauses, processes
from routing.ledger.loads import Load, loads
from routing.ledger.tables import Process

LONGEST_REASON = 1_000
RESIZED_WITHIN = 3.0


class Refused(Exception):
    """Nothing was done; the text tells the cure."""


def pause(request: HttpRequest, queue: str) -> HttpResponse:
    _require(request, queue)
    if request.method == "POST":
        return _carry_out(
            request, lambda: _pause(request, queue), back=_back(queue), again=lambda: _ask(request, queue)
        )
    return _ask(request, queue)


def resume(request: HttpRequest, queue: str) -> HttpResponse:
    _require(request, queue)
    if request.method == "POST":
        return _carry_out(request, lambda: _resume(request, queue), back=_back(queue), again=None)
    return _ask(request, queue)


def resize(request: HttpRequest, process_id: int) -> HttpResponse:
    """Of one worker, by its incarnation: one that has been started anew has another."""
    if not may_change(request):
        raise PermissionDenied
    worker = processes.live(Process.Role.WORKER).filter(pk=process_id).first()
    if worker is None:
        messages.warning(request, _("That worker has ended. Its successor, if there is one, is listed below."))
        return HttpResponseRedirect(reverse("console:pools"))
    back = _back(pool.name if (pool := registry().pools.get(worker.name.partition("@")[0])) else "")
    if request.method == "POST":
        again: Callable[[], HttpResponse] = lambda: _ask_size(request, worker, back)  # noqa: E731
        return _carry_out(request, lambda: _resize(request, worker), back=back, again=again)
    return _ask_size(request, worker, back)


def _require(request: HttpRequest, queue: str) -> None:
    if not may_change(request):
        raise PermissionDenied
    if queue not in registry().pools and not pauses.in_force().filter(queue=queue.replace("\0", "")).exists():
        raise Http404(_("There is no such queue."))


def _carry_out(
    request: HttpRequest, do: Callable[[], None], *, back: str, again: Callable[[], HttpResponse] | None
) -> HttpResponse:
    try:
        do()
    except (Refused, BrokerUnavailable) as error:
        messages.error(request, str(error))
        return again() if again else HttpResponseRedirect(back)
    except (DatabaseError, InterfaceError):
        messages.error(request, _("The database is busy; nothing was done. Try again in a moment."))
    return HttpResponseRedirect(back)


def _ask(request: HttpRequest, queue: str) -> HttpResponse:
    paused = pauses.in_force().filter(queue=queue).first()
    context = {
        "queue": queue,
        "paused": lives.pause_sentence(paused) if paused else "",
        "load": loads().get(queue, Load()),
        "reason": request.POST.get("reason", ""),
        "longest": LONGEST_REASON,
        "back": _back(queue),
    }
    title = _("Resume %(queue)s") if paused else _("Pause %(queue)s")
    return _page(request, "console/pool_pause.html", title % {"queue": queue}, context)


def _pause(request: HttpRequest, queue: str) -> None:
    reason = request.POST.get("reason", "").strip()
    if not reason or "\0" in reason or len(reason) > LONGEST_REASON:
        told = _("The reason must be text of 1 to %(most)s characters, for whoever finds the queue paused.")
        raise Refused(told % {"most": grouped(LONGEST_REASON)})
    # What was done is in the log, or it was not done.
    with database.atomic():
        is_new = pauses.pause(queue, by=request.user.get_username(), reason=reason)
        if is_new:
            _log(request, pauses.in_force().get(queue=queue), _("Paused: %(reason)s") % {"reason": reason})
    if is_new:
        told = _(
            "%(queue)s is paused. Relays and workers keep to it within a second or two; whoever does not is named."
        )
        messages.success(request, told % {"queue": queue})
    else:
        messages.warning(request, _("Somebody has paused it already; that pause stays as it is."))


def _resume(request: HttpRequest, queue: str) -> None:
    with database.atomic():
        paused = pauses.in_force().filter(queue=queue).first()
        has_changed = pauses.resume(queue, by=request.user.get_username())
        if has_changed and paused:
            _log(request, paused, _("Resumed."))
    if has_changed:
        told = _("%(queue)s goes on; relays and workers take it up again within two seconds.")
        messages.success(request, told % {"queue": queue})
    else:
        messages.warning(request, _("It is not paused, so nothing has changed."))


def _ask_size(request: HttpRequest, worker: Process, back: str) -> HttpResponse:
    try:
        told = ask_size(worker.name)
    except BrokerUnavailable as error:
        told = {"error": str(error)}
    context = {
        "worker": worker,
        "pool": registry().pools.get(worker.name.partition("@")[0]),
        "told": told,
        "size": request.POST.get("size", told.get("size", "")),
        "most": Pool.MOST,
        "back": back,
    }
    return _page(request, "console/pool_size.html", _("Resize %(worker)s") % {"worker": worker.name}, context)


def _resize(request: HttpRequest, worker: Process) -> None:
    size = _size(request.POST.get("size", ""))
    # First the log: what may have been done is in it, and what it came to is told below.
    _log(request, worker, _("Asked for %(size)d processes.") % {"size": size})
    answer = remote.ask("resize_pool", [worker.name], seconds=RESIZED_WITHIN, size=size).get(worker.name)
    if not isinstance(answer, dict):
        raise Refused(
            _("It gave no answer within %(seconds)g s, so it is not known whether it did. Look at its size below.")
            % {"seconds": RESIZED_WITHIN}
        )
    if "error" in answer:
        raise Refused(f"{str(answer['error']).rstrip('.')}.")
    _tell_size(request, worker, size, int(answer["ok"]["size"]))


def _tell_size(request: HttpRequest, worker: Process, asked: int, got: int) -> None:
    values = {"worker": worker.name, "got": got, "asked": asked}
    if got == asked:
        messages.success(request, _("%(worker)s has %(got)d processes now, until it is started anew.") % values)
    else:
        told = _("%(worker)s has %(got)d processes now, and not %(asked)d: the others are at a task, which goes on.")
        cure = _("Ask again when they are done.")
        messages.warning(request, f"{told % values} {cure}")


def _size(text: str) -> int:
    if text.strip().isdecimal() and 1 <= int(text) <= Pool.MOST:
        return int(text)
    raise Refused(_("A pool has from 1 to %(most)d processes. To have none, pause its queue.") % {"most": Pool.MOST})


def _page(request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), "title": title, **context})


def _log(request: HttpRequest, row: Model, told: str) -> None:
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, [row], CHANGE, change_message=told, single_object=True)


def _back(queue: str) -> str:
    return f"{reverse('console:pools')}#{queue}"
