"""The admin's log of what somebody did to many rows: one entry, whose words tell of which and how many."""

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.utils.translation import gettext as _

from routing.console.number_words import grouped
from routing.console.outcome_words import said

LONGEST = 4_000


def write(user: Any, model: type[Model], *, about: str, told: str) -> None:
    """``about``: which rows, in a few words; ``told``: what was done, with their tasks."""
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(model),
        object_repr=about[:200],
        action_flag=CHANGE,
        change_message=told[:LONGEST],
    )


def in_words(outcomes: Mapping[str, int]) -> str:
    """``3 cancelled, 1 already finished``."""
    return ", ".join(counted(outcome, count) for outcome, count in outcomes.items()) or _("nothing")


def counted(outcome: str, count: int) -> str:
    return _("%(count)s %(outcome)s") % {"count": grouped(count), "outcome": said(outcome)}
