"""The inbox of whoever has signed in, as JSON: its messages page by page, how many are unread, and to mark them."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from notifications.inbox import reading
from notifications.inbox.tables import InAppMessage
from routing.console import problems

PAGE, MOST = 50, 200
LARGEST_ID = 2**63 - 1

View = Callable[[HttpRequest], HttpResponse]


class Wrong(ValueError):
    """What was asked makes no sense; the message tells the cure."""


def _for_users(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return problems.response(401, "Sign in first: an inbox is shown to its own user.")
        try:
            return view(request)
        except Wrong as error:
            return problems.response(422, str(error))

    return never_cache(guarded)


@require_GET
@_for_users
def messages(request: HttpRequest) -> HttpResponse:
    limit = _number(request, "limit", default=PAGE, highest=MOST)
    before = _number(request, "cursor", default=LARGEST_ID, highest=LARGEST_ID)
    rows = reading.messages(request.user, unread=_is_on(request, "unread"), before=before)
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return JsonResponse(
        {
            "messages": [_document(row) for row in found[:limit]],
            "unread": reading.count_unread(request.user),
            "next": _next(request, found[limit - 1].pk) if more else None,
        }
    )


@require_GET
@_for_users
def unread(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"unread": reading.count_unread(request.user)})


@require_POST
@_for_users
def read(request: HttpRequest) -> HttpResponse:
    marked = reading.mark_read(request.user, **_asked(request.body))
    return JsonResponse({"marked": marked, "unread": reading.count_unread(request.user)})


def _asked(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    match asked:
        case {"ids": list(ids)} if len(asked) == 1 and len(ids) <= MOST and all(map(_is_id, ids)):
            return {"ids": ids}
        case {"until": until} if len(asked) == 1 and _is_id(until):
            return {"until": until}
    raise Wrong(f'Send {{"ids": [7, 8]}}, at most {MOST} of them, or {{"until": 8}} for all up to that one, as JSON.')


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_ID


def _number(request: HttpRequest, name: str, *, default: int, highest: int) -> int:
    given = request.GET.get(name, "")
    if not given:
        return default
    if not (given.isascii() and given.isdecimal() and len(given) < 20 and 1 <= int(given) <= highest):
        raise Wrong(f"{name} is {given[:20]!r}; give a whole number from 1 to {highest}.")
    return int(given)


def _is_on(request: HttpRequest, name: str) -> bool:
    given = request.GET.get(name, "0")
    if given not in ("0", "1"):
        raise Wrong(f"{name} is {given[:20]!r}; give 1, or leave it out.")
    return given == "1"


def _next(request: HttpRequest, last: int) -> str:
    return f"{request.path}?{urlencode({**request.GET.dict(), 'cursor': last})}"


def _document(row: InAppMessage) -> dict[str, Any]:
    return {
        "id": row.pk,
        "category": row.category,
        "subject": row.subject,
        "text": row.text,
        "received_at": row.created_at.isoformat(),
        "read_at": row.read_at.isoformat() if row.read_at else None,
    }
