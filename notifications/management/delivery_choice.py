"""The options by which a command is told which deliveries it is for."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Q, QuerySet
from django.utils import timezone

from notifications import by_age, categories, finding
from notifications.lanes import lanes
from notifications.tables import Delivery
from routing.management.selecting import duration

LONG_AGO = timedelta(days=36_525)


def add_options(parser: argparse.ArgumentParser, *, states: Sequence[str]) -> None:
    """What ``chosen`` reads."""
    group = parser.add_argument_group("which", "Those to which all of it applies; all of them only with --all.")
    group.add_argument(
        "terms",
        nargs="*",
        metavar="WHICH",
        help="number of a delivery, e-mail address, Message-ID, key or id of a notification, or id of a task",
    )
    if len(states) > 1:
        group.add_argument("--state", choices=states, metavar="STATE", help=f"one of {', '.join(states)}")
    names = list(categories.registry())
    group.add_argument("--category", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    group.add_argument("--lane", choices=lanes(), metavar="NAME", help=f"one of {', '.join(lanes())}")
    group.add_argument("--older-than", type=duration, metavar="AGE", help="such as 90s, 30m, 2h, 5d or 1d12h")
    group.add_argument("--newer-than", type=duration, metavar="AGE", help="likewise")
    group.add_argument("--all", action="store_true", dest="is_all", help="all, where nothing else is said")


def chosen(options: Mapping[str, Any], *, among: Q, needs_all: bool = True) -> "QuerySet[Delivery]":
    """Raises CommandError, which tells the cure."""
    narrowed = any(options.get(name) for name in ("terms", "category", "lane", "older_than", "newer_than"))
    if needs_all and not (narrowed or options["is_all"]):
        raise CommandError("This would be for all. Say which, such as an address or --newer-than; or say --all.")
    if narrowed and options["is_all"]:
        raise CommandError("--all and a choice of some contradict each other. Leave out one of them.")
    older, newer = options["older_than"], options["newer_than"]
    if older and newer and newer <= older:
        raise CommandError("Nothing is both older and newer than that. --newer-than must be more than --older-than.")
    where = among & _terms(options["terms"])
    for name, column in (("category", "notification__category"), ("lane", "notification__lane")):
        if options.get(name):
            where &= Q(**{column: options[name]})
    if older or newer:
        now = timezone.now()
        end, start = now - (older or timedelta()), now - (newer or LONG_AGO)
        where &= by_age.between(Delivery, "created_at", start, end)
    return Delivery.objects.filter(where)


def _terms(terms: Sequence[str]) -> Q:
    if any("\0" in term for term in terms):
        raise CommandError("A NUL is in it, which nothing that is stored holds.")
    where = Q()
    for term in terms:
        where |= finding.deliveries(term).where
    return where
