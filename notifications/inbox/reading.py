"""A user's own inbox: what is in it, how much of it is unread, and that it was read."""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from notifications.inbox.tables import InAppMessage

MOST_COUNTED = 1_000
"""More are told as that many: nobody reads on."""


def messages(user: Any, *, unread: bool = False, before: int | None = None) -> QuerySet[InAppMessage]:
    """The newest first; those behind ``before``, an id."""
    rows = InAppMessage.objects.filter(user=user).order_by("-pk")
    if unread:
        rows = rows.filter(read_at=None)
    return rows if before is None else rows.filter(pk__lt=before)


def count_unread(user: Any, *, most: int = MOST_COUNTED) -> int:
    return messages(user, unread=True)[:most].count()


def mark_read(user: Any, *, ids: Collection[int] | None = None, until: int | None = None) -> int:
    """These, or all up to and with one; how many were unread. Safe to call again: the first time counts."""
    rows = messages(user, unread=True).order_by()
    rows = rows.filter(pk__in=ids) if ids is not None else rows.filter(pk__lte=until)
    return rows.update(read_at=timezone.now())
