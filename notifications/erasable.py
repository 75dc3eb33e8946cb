"""What notifications hold of a person. That they want no mail stays, or somebody would write to them again."""

import json
from typing import Any

from django.db.models import Q
from django.utils import timezone

from notifications import sealing
from notifications.consent.tables import Feedback
from notifications.inbox.tables import InAppMessage
from notifications.retention import OPEN, delete_attachments
from notifications.tables import Attachment, Attempt, Delivery, Notification, Rejection
from routing.erasing import ERASED, Kind, Term, erasable


@erasable
class Deliveries(Kind):
    """With their attempts; and with the notification, if nobody else was told."""

    kind = "deliveries"
    model, texts = Delivery, ("address", "address_key", "context", "answer")

    def _may_mention(self, term: Term) -> Q:
        return super()._may_mention(term) | ~Q(sealed="")

    def mentions(self, row: Delivery, term: Term) -> bool:
        return super().mentions(row, term) or term.is_in(_opened(row.sealed))

    def erase(self, row: Delivery, term: Term, *, by: str) -> None:
        now = timezone.now()
        stopped = {"state": Delivery.State.CANCELLED, "finished_at": now} if row.state in OPEN else {}
        Delivery.objects.using(self.using).filter(pk=row.pk).update(
            address=ERASED,
            # One address has one delivery of a notification.
            address_key=f"erased-{row.pk}",
            context={},
            sealed="",
            answer=ERASED if row.answer else "",
            emptied_at=now,
            **stopped,
        )
        Attempt.objects.using(self.using).filter(delivery=row.pk).exclude(answer="").update(answer=ERASED)
        others = Delivery.objects.using(self.using).filter(notification=row.notification_id).exclude(pk=row.pk)
        if not others.exists():
            _empty(row.notification_id, using=self.using)


def _opened(sealed: str) -> str:
    try:
        return json.dumps(sealing.unseal(sealed))
    except sealing.Unreadable:
        return ""


def _empty(key: Any, *, using: str) -> None:
    delete_attachments(Attachment.objects.using(using).filter(notification=key))
    Notification.objects.using(using).filter(pk=key).update(
        subject=ERASED, text="", html="", context={}, emptied_at=timezone.now()
    )


@erasable
class Notifications(Kind):
    """What others are told as well stays, without the person in it."""

    kind = "notifications"
    model = Notification
    texts = ("key", "subject", "text", "html", "context", "from_email", "reply_to", "created_by")

    def erase(self, row: Notification, term: Term, *, by: str) -> None:
        changed = {name: term.out_of_value(getattr(row, name)) for name in self.texts if name != "key"}
        if row.key and term.is_in(row.key):
            changed["key"] = f"erased-{row.pk}"
        Notification.objects.using(self.using).filter(pk=row.pk).update(**changed)


@erasable
class Rejections(Kind):
    kind = "rejected recipients"
    model, texts = Rejection, ("address", "reason")

    def erase(self, row: Rejection, term: Term, *, by: str) -> None:
        Rejection.objects.using(self.using).filter(pk=row.pk).update(address=ERASED, reason=term.out_of(row.reason))


@erasable
class Inboxes(Kind):
    """In whoever's inbox it lies."""

    kind = "in-app messages"
    model, texts = InAppMessage, ("subject", "text")

    def erase(self, row: InAppMessage, term: Term, *, by: str) -> None:
        InAppMessage.objects.using(self.using).filter(pk=row.pk).delete()


@erasable
class Reports(Kind):
    kind = "bounces and complaints"
    model, texts = Feedback, ("address_key", "detail", "raw", "source")

    def erase(self, row: Feedback, term: Term, *, by: str) -> None:
        changed = {"address_key": ERASED, "raw": "", "detail": "", "source": term.out_of(row.source)}
        Feedback.objects.using(self.using).filter(pk=row.pk).update(**changed)
