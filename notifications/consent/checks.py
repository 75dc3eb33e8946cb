"""System checks of the categories, of what was stored under them, and of the links in messages."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError
from django.db.models import Count, QuerySet

from notifications import categories
from notifications.consent.tables import Preference
from notifications.tables import Delivery

LOCAL = ("localhost", "127.0.0.1", "::1")


@register()
def check_categories(**_: Any) -> list[CheckMessage]:
    try:
        categories.check()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint="Correct project/categories.py.", id="notifications.E002")]
    except (ImportError, TypeError) as error:
        return [
            Error(
                f"TASKYARD_CATEGORIES is {settings.TASKYARD_CATEGORIES!r}, which cannot be loaded: {error}.",
                hint="It names a tuple of Category objects, such as project.categories.CATEGORIES.",
                id="notifications.E003",
            )
        ]
    silent = [name for name, category in categories.registry().items() if not category.description]
    return [
        checks.Warning(
            f"Category {name!r} in project/categories.py has no description.",
            hint="Recipients read it beside the title when they choose what they get. Say in a sentence what is sent.",
            id="notifications.W001",
        )
        for name in silent
    ]


@register(Tags.security, deploy=True)
def check_site(**_: Any) -> list[CheckMessage]:
    site = urlsplit(settings.SITE_URL)
    if site.scheme == "https" or site.hostname in LOCAL:
        return []
    return [
        checks.Warning(
            f"SITE_URL is {settings.SITE_URL}, so mail readers show no unsubscribe button: they want https (RFC 8058).",
            hint="Set SITE_URL to the https address by which recipients reach this site.",
            id="notifications.W002",
        )
    ]


@register(Tags.database)
def check_rows(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """With ``manage.py check --database default``."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    try:
        known = {*categories.registry(), *categories.former()}
        waiting = Delivery.objects.filter(state__in=[Delivery.State.PENDING, Delivery.State.SENDING])
        return [
            *_of_gone(waiting, "notification__category", known, _waiting),
            *_of_gone(Preference.objects.all(), "category", known, _chosen),
        ]
    except (ImproperlyConfigured, ImportError, TypeError, DatabaseError):
        # Said by check_categories; and before the first migration there are no rows.
        return []


def _of_gone(rows: QuerySet[Any], column: str, known: set[str], said: Any) -> list[CheckMessage]:
    found = rows.exclude(**{f"{column}__in": known}).values_list(column).annotate(count=Count("pk")).order_by(column)
    return [said(name, count) for name, count in found]


def _waiting(name: str, count: int) -> CheckMessage:
    return Error(
        f"{count:,} deliveries that are not sent are of category {name!r}, which project/categories.py does not list.",
        hint=f"Their tasks fail, and can be replayed. List it again, or add formerly=({name!r},) to the category that "
        "took its place.",
        id="notifications.E004",
    )


def _chosen(name: str, count: int) -> CheckMessage:
    return checks.Warning(
        f"{count:,} choices of recipients are about category {name!r}, which project/categories.py does not list.",
        hint=f"They stay, and count again if it comes back. Where it was renamed, add formerly=({name!r},) to the "
        "category: else recipients who unsubscribed are written to.",
        id="notifications.W003",
    )
