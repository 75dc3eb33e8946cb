"""The inbox of whoever is signed in, in the admin: its messages page by page, one of them, and to mark them read."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from notifications import categories
from notifications.inbox import reading
from notifications.inbox.placed import PlacedInbox, address
from notifications.inbox.tables import InAppMessage

EXCERPT = 200
_KEY = 18
"""Digits that a key may have."""


@require_safe
@cache_control(no_store=True)
def inbox(request: HttpRequest) -> HttpResponse:
    # First: what comes after the rows were read is not on the page, and "mark all" must leave it.
    newest = _newest_unread(request.user)
    placed = PlacedInbox(request, _in_short(request.user))
    context = {"title": _("Inbox"), "cl": placed, "newest": newest}
    return _page(request, "notifications/inbox/messages.html", context)


@require_safe
@cache_control(no_store=True)
def message(request: HttpRequest, number: str) -> HttpResponse:
    row = reading.messages(request.user).filter(pk=int(number)).first()
    if row is None:
        return _gone(request)
    category = categories.registry().get(categories.renamed(row.category))
    context = {"title": _("Inbox"), "message": row, "category": category.title if category else row.category}
    return _page(request, "notifications/inbox/message.html", context)


@require_POST
def read(request: HttpRequest, number: str) -> HttpResponse:
    """Safe to call again. ``open`` leads to the message, and else it goes back to where it was marked."""
    key = int(number)
    reading.mark_read(request.user, ids=[key])
    if "open" in request.POST:
        return HttpResponseRedirect(reverse("inbox:message", args=[key]))
    return HttpResponseRedirect(address(request.GET))


@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    """All up to the newest one that the page knew of. Safe to call again."""
    until = request.POST.get("until", "")
    if not (until.isascii() and until.isdigit() and len(until) <= _KEY):
        messages.warning(request, _("Nothing is marked: the page did not say up to which message. Try again."))
    elif count := reading.mark_read(request.user, until=int(until)):
        told = ngettext("%(count)d message is marked read.", "%(count)d messages are marked read.", count)
        messages.success(request, told % {"count": count})
    else:
        messages.info(request, _("Nothing was unread any more."))
    return HttpResponseRedirect(address(request.GET))


def _newest_unread(user: Any) -> int | None:
    return reading.messages(user, unread=True).values_list("pk", flat=True).first()


def _in_short(user: Any) -> "QuerySet[InAppMessage]":
    return reading.messages(user).defer("text").annotate(excerpt=Left("text", EXCERPT))


def _gone(request: HttpRequest) -> HttpResponse:
    # The same words for what is another's.
    messages.warning(request, _("There is no such message in your inbox. Old ones are deleted after a while."))
    return HttpResponseRedirect(reverse("inbox:messages"))


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})
