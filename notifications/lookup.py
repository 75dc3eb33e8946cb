"""What became of a notification, and of everything that was ever for one address."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Count, Prefetch, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from notifications import channels
from notifications.tables import Attempt, Delivery, Notification

Row = TypeVar("Row")
State = Delivery.State

UNDER_WAY = frozenset({State.PENDING, State.SENDING})


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor that begins the next page; None after the last."""

    rows: Sequence[Row]
    next: int | None


@dataclass(frozen=True)
class Progress:
    """How far a notification has come."""

    notification: Notification
    counts: Mapping[str, int]
    """Deliveries by state, every state among them."""

    @property
    def stored(self) -> int:
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        """Those of which nothing more will come."""
        return sum(count for state, count in self.counts.items() if state not in UNDER_WAY)

    @property
    def state(self) -> str:
        """``storing``, ``scheduled``, ``sending``, ``cancelled`` or ``finished``."""
        notification = self.notification
        if notification.cancelled_at:
            return "sending" if self.counts[State.SENDING] else "cancelled"
        if not notification.is_complete:
            return "storing"
        if self.finished == self.stored:
            return "finished"
        is_due = notification.send_at is None or notification.send_at <= timezone.now()
        return "sending" if is_due or self.finished else "scheduled"

    @property
    def words(self) -> str:
        """Such as “998 of 1,000 sent, 2 failed”."""
        sent = _("%(sent)s of %(all)s sent") % {"sent": _number(self.counts[State.SENT]), "all": _number(self.stored)}
        others = [
            f"{_number(self.counts[state])} {state.label}"
            for state in State
            if state != State.SENT and self.counts[state]
        ]
        return ", ".join([sent, *others])


def notification(pk: UUID) -> Notification | None:
    return Notification.objects.select_related("template__template").filter(pk=pk).first()


def of_key(key: str) -> Notification | None:
    return Notification.objects.filter(key=key).first()


def progress(of: Notification) -> Progress:
    """Reads every delivery's state: some tenths of a second for 100,000 recipients."""
    counted = Delivery.objects.filter(notification=of).values_list("state").annotate(Count("pk")).order_by()
    return Progress(of, {state.value: 0 for state in State} | dict(counted))


def deliveries(of: Notification, *, state: str = "", cursor: int | None = None, limit: int = 50) -> Page[Delivery]:
    """In the order of the recipients, those behind the cursor, a position."""
    rows = _with_attempts(Delivery.objects.filter(notification=of).order_by("position"))
    if state:
        rows = rows.filter(state=state)
    if cursor is not None:
        rows = rows.filter(position__gt=cursor)
    return page(rows, limit, lambda last: last.position)


def of_address(text: str, *, channel: str = "email", cursor: int | None = None, limit: int = 50) -> Page[Delivery]:
    """“Did she get it?”: newest first, those behind the cursor, an id. Raises InvalidAddress."""
    key = channels.get(channel).address(text).key
    rows = _with_attempts(Delivery.objects.filter(address_key=key, channel=channel).order_by("-pk"))
    if cursor is not None:
        rows = rows.filter(pk__lt=cursor)
    return page(rows, limit, lambda last: last.pk)


def page(rows: "QuerySet[Any]", limit: int, cursor: Callable[[Any], int]) -> Page[Any]:
    """The first ``limit`` of them; by one more than that it is known whether there are others."""
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return Page(found[:limit], cursor(found[limit - 1]) if more else None)


def _with_attempts(rows: "QuerySet[Delivery]") -> "QuerySet[Delivery]":
    attempts = Prefetch("attempts", Attempt.objects.order_by("number"))
    return rows.select_related("notification__template__template").prefetch_related(attempts)


def _number(count: int) -> str:
    return f"{count:,}"
