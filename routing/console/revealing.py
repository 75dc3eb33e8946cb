"""A secret argument is shown to who may see it, once that is written down."""

import json
from collections.abc import Iterator
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from routing import sensitive
from routing.console import rights
from routing.console.page_parts import parsed
from routing.sealing import SealedOtherwise

ASKED = "reveal"
"""In the POST that asks for it."""
Named = list[tuple[str, Any]]


def sealed_in(args: Any, kwargs: Any) -> Named:
    """Names, and places from 1, of arguments that are sealed."""
    return [*_sealed_in(args, kwargs)]


def sealed_in_body(body: str | bytes) -> Named:
    """The same of a message, of whatever kind it is."""
    try:
        parts = json.loads(body)
    except (ValueError, RecursionError):
        return []
    match parts:
        case [args, kwargs, *_rest]:
            return sealed_in(args, kwargs)
        case {**fields}:
            return sealed_in(fields.get("args"), fields.get("kwargs"))
    return []


def sealed_in_texts(args: str | None, kwargs: str | None) -> Named:
    return sealed_in(parsed(args), parsed(kwargs))


def _sealed_in(args: Any, kwargs: Any) -> Iterator[tuple[str, Any]]:
    for place, value in enumerate(args if isinstance(args, list) else ()):
        if sensitive.is_sealed(value):
            yield _("argument %(place)d") % {"place": place + 1}, value
    for name, value in (kwargs if isinstance(kwargs, dict) else {}).items():
        if sensitive.is_sealed(value):
            yield name, value


def offered(request: HttpRequest, sealed: Named) -> str:
    """The names that the page's button says; empty for no button."""
    return ", ".join(name for name, _value in sealed) if rights.may_reveal(request.user) else ""


def answer(admin: Any, request: HttpRequest, row: Any, sealed: Named, *, task: str) -> HttpResponse | None:
    """The page that shows them, if that was asked for. Raises PermissionDenied."""
    if request.method != "POST" or ASKED not in request.POST:
        return None
    if not rights.may_reveal(request.user) or not sealed:
        raise PermissionDenied
    # Before anybody sees it: a page that cannot be written down is not shown.
    told = _("Revealed %(names)s of %(task)s.") % {"names": ", ".join(name for name, _value in sealed), "task": task}
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, [row], CHANGE, change_message=told, single_object=True)
    context = {
        **admin.admin_site.each_context(request),
        "title": _("Secret arguments of %(task)s") % {"task": task},
        "opts": admin.opts,
        "secrets": [(name, *_opened(value)) for name, value in sealed],
    }
    return TemplateResponse(request, "console/revealed.html", context)


def _opened(value: Any) -> tuple[str, bool]:
    """As JSON, and whether it could be opened."""
    try:
        return json.dumps(sensitive.unseal(value), indent=2, ensure_ascii=False, default=str), True
    except SealedOtherwise:
        return _("It was sealed with another SECRET_KEY. Put that one into SECRET_KEY_FALLBACKS."), False
