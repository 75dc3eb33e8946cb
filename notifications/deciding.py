"""What people decide about deliveries: send it again, cancel it, or say what became of one whose outcome is unknown.

A decision is about a delivery as somebody saw it: whatever has changed since then, it is not made, and that is told.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from notifications import categories, consent, storing
from notifications.delivering import UNKNOWN
from notifications.sealing import MASK
from notifications.tables import Delivery, Notification
from routing.ledger import database
from routing.ledger.tables import Message
from routing.worker import cancelling

logger = logging.getLogger(__name__)

State = Delivery.State
BATCH = 200
"""Deliveries that one transaction cancels, with their tasks."""
DECIDED = "decided"
"""The reason of one that is sent because somebody said so."""


class Fate(StrEnum):
    """What came of a decision about one delivery."""

    RESENT = "to be sent again"
    RECORDED = "recorded as sent"
    CANCELLED = "cancelled"
    CHANGED = "left: it has changed meanwhile"
    NOT_OPEN = "left: not in a state for this"
    SUPPRESSED = "left: the recipient must not be written to"
    NO_SECRETS = "left: its secret values are gone"
    EMPTIED = "left: the clean-up has removed what it said"
    NO_CATEGORY = "left: its category is not listed any more"

    @property
    def is_done(self) -> bool:
        return self in (Fate.RESENT, Fate.RECORDED, Fate.CANCELLED)


CURES = {
    Fate.SUPPRESSED: gettext_noop(
        "Its address is suppressed, or its recipient has unsubscribed. Lift that, then send it again."
    ),
    Fate.NO_SECRETS: gettext_noop(
        "Its secret values, such as a link, were removed when it was done with. Have the application send a new one."
    ),
    Fate.NO_CATEGORY: gettext_noop(
        "Its category is not listed any more. List it in project/categories.py again, or have the "
        "application send a new one."
    ),
    Fate.EMPTIED: gettext_noop("What it said has been removed by the clean-up. Have the application send a new one."),
}

Decision = Callable[[Delivery], Fate]


def resend(delivery: Delivery, *, by: str) -> Fate:
    """Send it again, under the same Message-ID, by a task of its own. Twice at once, it is done once."""
    if not (delivery.is_final or is_stranded(delivery)):
        return Fate.NOT_OPEN
    return _again(delivery, by=by)


def decide(delivery: Delivery, *, was_sent: bool, by: str) -> Fate:
    """Say of one whose outcome is unknown that it was sent, or have it sent again."""
    if not is_undecided(delivery):
        return Fate.NOT_OPEN
    if not was_sent:
        return _again(delivery, by=by)
    if not _change(delivery, state=State.SENT, reason=DECIDED, finished_at=timezone.now(), sealed=""):
        return Fate.CHANGED
    logger.info("%s: it was sent, as %s says", delivery.message_id, by or "somebody")
    return Fate.RECORDED


def cancel(delivery: Delivery, *, by: str) -> Fate:
    """Unless a worker has begun to hand it over, nobody will."""
    if delivery.state != State.PENDING:
        return Fate.NOT_OPEN
    return Fate.CANCELLED if cancel_all(Delivery.objects.filter(pk=delivery.pk), by=by) else Fate.CHANGED


def cancel_notification(notification: Notification, *, by: str) -> int:
    """Nobody who has not been written to yet will be; says how many. Safe to call again."""
    Notification.objects.filter(pk=notification.pk, cancelled_at=None).update(cancelled_at=timezone.now())
    return cancel_all(Delivery.objects.filter(notification=notification), by=by)


def cancel_all(deliveries: "QuerySet[Delivery]", *, by: str) -> int:
    """Those of them that are pending, and their tasks, a few in each transaction."""
    caught, last = 0, 0
    while keys := _cancel_some(deliveries.filter(pk__gt=last), by=by):
        caught, last = caught + len(keys), keys[-1]
    if caught:
        logger.info("%s cancelled %d deliveries", by or "Somebody", caught)
    return caught


def each(keys: Sequence[int], decision: Decision) -> Mapping[str, int]:
    """How many of the deliveries with these keys came to which fate."""
    rows = Delivery.objects.select_related("notification__template").filter(pk__in=keys).order_by("pk")
    return Counter(str(decision(delivery)) for delivery in rows)


def is_undecided(delivery: Delivery) -> bool:
    """Whether it may have been sent, and nothing moves it before somebody decides."""
    return delivery.state == State.SENDING and (delivery.reason == UNKNOWN or is_stranded(delivery))


def is_stranded(delivery: Delivery) -> bool:
    """It has no outcome, and its task is not in flight, such as after ``manage.py cancel``: nothing moves it."""
    if delivery.is_final or delivery.reason == UNKNOWN:
        return False
    return not Message.objects.using(database.using()).filter(pk=delivery.task_id).exists()


def undecided() -> "QuerySet[Delivery]":
    return Delivery.objects.filter(state=State.SENDING, reason=UNKNOWN)


def refusal(delivery: Delivery) -> Fate | None:
    """Why it cannot be sent again, whatever its state."""
    if delivery.emptied_at or delivery.notification.emptied_at:
        return Fate.EMPTIED
    if not delivery.sealed and _has_secrets(delivery):
        return Fate.NO_SECRETS
    if delivery.notification.category not in categories.registry():
        return Fate.NO_CATEGORY
    return Fate.SUPPRESSED if consent.objection(delivery) else None


def _again(delivery: Delivery, *, by: str) -> Fate:
    if refused := refusal(delivery):
        return refused
    with transaction.atomic():
        # Held, so that the clean-up does not take away just now what is to be said.
        if not Notification.objects.select_for_update().filter(pk=delivery.notification_id, emptied_at=None):
            return Fate.EMPTIED
        anew = {"task_id": str(uuid4()), "resent_at": timezone.now(), "finished_at": None}
        if not _change(delivery, state=State.PENDING, reason="", **anew):
            return Fate.CHANGED
        storing.enqueue(delivery.notification, [delivery])
    logger.info("%s: to be sent again, as %s asks, by task %s", delivery.message_id, by or "somebody", delivery.task_id)
    return Fate.RESENT


def _has_secrets(delivery: Delivery) -> bool:
    version = delivery.notification.template
    if version is None:
        return False
    values = {**delivery.notification.context, **delivery.context}
    return any(values.get(name) == MASK for name in version.secret)


def _change(delivery: Delivery, **values: Any) -> bool:
    """Set these if it still is as it was seen. False if somebody was first."""
    seen = ("state", "reason", "attempts_made", "task_id", "emptied_at")
    same = Delivery.objects.filter(pk=delivery.pk, **{name: getattr(delivery, name) for name in seen})
    if same.update(**values) != 1:
        return False
    for name, value in values.items():
        setattr(delivery, name, value)
    return True


def _cancel_some(deliveries: "QuerySet[Delivery]", *, by: str) -> list[int]:
    """The keys of the next few, all of which are cancelled now."""
    with transaction.atomic():
        # Whoever changes one meanwhile is waited for; it is in here only if it is pending still.
        pending = deliveries.filter(state=State.PENDING).order_by("pk").select_for_update(of=("self",))
        found = list(pending.values_list("pk", "task_id")[:BATCH])
        keys = [key for key, _task in found]
        Delivery.objects.filter(pk__in=keys).update(state=State.CANCELLED, finished_at=timezone.now(), sealed="")
        _cancel_tasks((task_id for _key, task_id in found), by=by)
    return keys


def _cancel_tasks(task_ids: Iterable[str], *, by: str) -> None:
    """They would come to nothing; but one that is scheduled would be seen in flight until then."""
    cancelling.cancel_many(list(task_ids), cancelling.Order(by=by[:255], note="Its delivery was cancelled."))
