"""How far a notification has come: its deliveries by state, and what that makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _

from notifications.tables import Delivery, Notification
from routing.console.number_words import grouped

State = Delivery.State

UNDER_WAY = frozenset({State.PENDING, State.SENDING})


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


def progress_of(notification: Notification) -> Progress:
    """Reads every delivery's state: some tenths of a second for 100,000 recipients."""
    counted = Delivery.objects.filter(notification=notification).values_list("state").annotate(Count("pk")).order_by()
    return Progress(notification, {state.value: 0 for state in State} | dict(counted))


def _number(count: int) -> str:
    return grouped(count)
