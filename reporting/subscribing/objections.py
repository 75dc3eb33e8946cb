"""Why somebody who is subscribed is sent nothing all the same, as the domain that mails reports knows.

That one keeps whether we may mail somebody at all, which the one click of a mail reader decides; a subscription says
which reports. Reporting knows it by a setting alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from reporting.subscribing.tables import Subscription


@dataclass(frozen=True)
class Objection:
    """``is_their_own``: they have said no to all reports, and may take that back."""

    why: str
    is_their_own: bool


def of(addresses: Sequence[str]) -> Mapping[str, Objection]:
    """By address; of those alone that are sent nothing."""
    found: Mapping[str, Objection] = _asked("objections", addresses) if addresses else {}
    return found or {}


def against(address: str) -> Objection | None:
    return of([address]).get(address)


def among(subscriptions: "QuerySet[Subscription]", *, objecting: bool) -> "QuerySet[Subscription]":
    """Those of whom that is so, or not so."""
    refused = _asked("objecting") or ()
    theirs = reduce(or_, (Q(lowered__in=addresses) for addresses in refused), Q(pk__in=[]))
    return subscriptions.annotate(lowered=Lower("email")).filter(theirs if objecting else ~theirs)


def take_back(address: str) -> bool:
    """They want reports again; whether they had said no. Safe to call again."""
    objection = against(address)
    if objection is None or not objection.is_their_own:
        return False
    _asked("take_back", address)
    return True


def _asked(question: str, *given: Any) -> Any:
    if not settings.TASKYARD_REPORT_MAILS:
        return None
    return import_string(f"{settings.TASKYARD_REPORT_MAILS}.{question}")(*given)
