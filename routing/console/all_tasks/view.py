"""The page of all tasks, finished or not, which any address that it offers shows again."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from routing.console.all_tasks import page as pages
from routing.console.all_tasks.asked import CREATED, FINISHED, Asked, known_domains, read
from routing.console.all_tasks.merging import Spot
from routing.console.places import AFTER, BEFORE
from routing.console.result_list import SECONDS, STOPPED_AFTER
from routing.console.start_page import may_look


@require_safe
@cache_control(no_store=True)
def page(request: HttpRequest) -> HttpResponse:
    if not may_look(request):
        raise PermissionDenied
    asked, mistakes = read(request.GET, user=request.user, now=timezone.now())
    context: dict[str, Any] = {"mistakes": mistakes, "form": _form(request, asked)}
    if not mistakes:
        shown = pages.shown(asked)
        context |= {"shown": shown, "words": pages.words(asked), "places": _places(request, shown)}
        context |= {"seconds": round(STOPPED_AFTER if shown.stopped else SECONDS)}
    context = {**admin.site.each_context(request), "title": _("All tasks"), **context}
    return TemplateResponse(request, "console/all_tasks.html", context, status=400 if mistakes else 200)


def _form(request: HttpRequest, asked: Asked) -> dict[str, Any]:
    chosen = asked.domains or ()
    return {
        "choices": [
            (CREATED, _("Created in this time"), asked.by != FINISHED),
            (FINISHED, _("Finished in it, or not finished yet"), asked.by == FINISHED),
        ],
        "begin": _field(asked.begin),
        "end": _field(asked.end),
        "domains": [(name, title, name in chosen) for name, title in known_domains(request.user).items()],
    }


def _field(moment: datetime | None) -> str:
    """As a browser's field of date and time has it."""
    return timezone.localtime(moment).replace(tzinfo=None, microsecond=0).isoformat() if moment else ""


def _places(request: HttpRequest, shown: pages.Shown) -> dict[str, str]:
    return {
        "newest": _address(request),
        "newer": _address(request, AFTER, shown.page.newer),
        "older": _address(request, BEFORE, shown.page.older),
    }


def _address(request: HttpRequest, name: str = "", spot: Spot | None = None) -> str:
    """The same list at another place; empty where none is named."""
    if name and spot is None:
        return ""
    given = request.GET.copy()
    for other in (BEFORE, AFTER):
        given.pop(other, None)
    if name:
        given[name] = str(spot)
    return f"?{given.urlencode()}"
