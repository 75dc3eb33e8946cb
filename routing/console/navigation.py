"""The admin's sidebar: the start page, and below it every page that this user may see."""

from typing import Any, TypeVar

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from routing.console import rights

Own = TypeVar("Own")
ICONS = {"TaskResult": "task_alt", "ApiToken": "key", "User": "person", "Group": "group"}
OTHER_ICON = "list_alt"
OTHER_ORDER = 100
"""Of a page that says nothing about its place; those come by their names."""
RESULTS, PEOPLE = "django_celery_results", "auth"
PIPELINE, TASKS = "routing", ("Message", "DeadLetter", "ScheduleEntry", "ScheduleSlot")
"""Pages that belong beside the results."""


def groups(request: HttpRequest) -> list[dict[str, Any]]:
    """For ``UNFOLD["SIDEBAR"]["navigation"]``. A ModelAdmin may bring ``icon``, ``menu_title``, ``menu_order`` and, as
    titles, icons and names of addresses, ``more_pages``, which tell of all domains.
    """
    start = {"title": _("Overview"), "icon": "monitor_heart", "link": reverse("admin:index")}
    handbook = {"title": _("Handbook"), "icon": "menu_book", "link": reverse("console:handbook", args=["operations"])}
    apps = {app["app_label"]: app for app in admin.site.get_app_list(request)}
    results, people = apps.pop(RESULTS, {"models": []}), apps.pop(PEOPLE, None)
    tasks = {model["object_name"]: model for model in apps.get(PIPELINE, {"models": []})["models"]}
    own = [tasks[name] for name in TASKS if name in tasks]
    if PIPELINE in apps:
        apps[PIPELINE] = {**apps[PIPELINE], "models": [each for each in tasks.values() if each not in own]}
    first = {"models": [*own[:1], *results["models"], *own[1:]]}
    return [
        {"items": [start, *_own_pages(request), *_pages(first, request), handbook]},
        *(
            {"title": app["name"], "separator": True, "items": _pages(app, request)}
            for app in (*apps.values(), people)
            if app and app["models"]
        ),
    ]


def _own_pages(request: HttpRequest) -> list[dict[str, Any]]:
    if not request.user.has_perm("django_celery_results.view_taskresult") or rights.domains_of(request.user):
        return []
    return [{"title": _("Queues and pools"), "icon": "dns", "link": reverse("console:pools")}]


def _pages(app: dict[str, Any], request: HttpRequest) -> list[dict[str, Any]]:
    models = sorted(app["models"], key=lambda model: _own(model, "menu_order", OTHER_ORDER))
    return [page for model in models for page in _of(model, request)]


def _of(model: dict[str, Any], request: HttpRequest) -> list[dict[str, Any]]:
    more: tuple[tuple[Any, str, str], ...] = _own(model, "more_pages", ())
    if rights.domains_of(request.user) is not None:
        more = ()
    return [
        {
            "title": _own(model, "menu_title", capfirst(model["name"])),
            "icon": _own(model, "icon", ICONS.get(model["object_name"], OTHER_ICON)),
            "link": model["admin_url"],
        },
        *({"title": title, "icon": icon, "link": reverse(name)} for title, icon, name in more),
    ]


def _own(model: dict[str, Any], attribute: str, default: Own) -> Own:
    found: Own = getattr(admin.site.get_model_admin(model["model"]), attribute, default)
    return found
