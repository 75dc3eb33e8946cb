"""One delivery on its way: whatever dies, and whenever, it is sent, or it is known that it may have been.

An e-mail cannot be sent exactly once: between the server's taking it and our writing that down lies a window. It begins
with the commit of SENDING, right before the message's text goes out, and ends with the commit of SENT. A run that finds
SENDING knows that another died in that window, and the category says what then: send it again, under the same
Message-ID, or ask.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from notifications import categories, channels, consent, content, pacing, sealing
from notifications.categories import WhenUnknown
from notifications.channels.shape import Answer, File, Message, Uncertain, Unreachable
from notifications.lanes import domain
from notifications.tables import Attempt, Delivery
from routing.errors import PermanentError, TransientError
from routing.ledger.patience import until_reachable

logger = logging.getLogger(__name__)

State = Delivery.State

UNKNOWN = "outcome_unknown"
"""The reason of a delivery that stays in SENDING until somebody decides."""


class Refused(PermanentError):
    """The other side will not take it, now or later."""


def deliver(
    notification: str, position: int, *, task_id: str, worker: str = "", may_wait: bool = True
) -> dict[str, Any]:
    """Send one delivery, unless it is sent or must not be. Safe to call again.

    Without ``may_wait``, as where tasks run in the caller's own process, what is refused for now raises Refused.

    Raises TransientError to be called later, NotYet where it is not its turn, and PermanentError where it has failed.
    """
    delivery = Delivery.objects.select_related("notification__template__template").get(
        notification=UUID(notification), position=position
    )
    _reopen(delivery, task_id)
    if delivery.state != State.PENDING:
        return _told(delivery)
    if reason := consent.objection(delivery):
        delivery.change(frm=State.PENDING, state=State.SUPPRESSED, reason=reason, finished_at=timezone.now(), sealed="")
        return _told(delivery)
    return _Try(delivery, task_id=task_id, worker=worker, may_wait=may_wait).run()


class _Try:
    """One attempt at a delivery that is pending."""

    def __init__(self, delivery: Delivery, *, task_id: str, worker: str, may_wait: bool) -> None:
        self._delivery = delivery
        self._may_wait = may_wait
        self._channel = channels.get(delivery.channel)
        self._host = self._channel.host(lane=delivery.notification.lane)
        self._made = delivery.attempts_made
        self._row = Attempt(delivery=delivery, number=self._made + 1, host=self._host, task_id=task_id, worker=worker)
        self._begun = False

    def run(self) -> dict[str, Any]:
        message = self._message()
        pacing.pass_through(self._delivery, host=self._host)
        self._row.started_at = timezone.now()
        try:
            answer = self._channel.send(message, handing_over=self._begin)
        except Unreachable as error:
            pacing.record(self._delivery, host=self._host, error=str(error))
            self._later(Attempt.Outcome.UNREACHABLE, Answer(Attempt.Outcome.TEMPORARY, str(error)))
        except Uncertain as error:
            pacing.record(self._delivery, host=self._host, error=str(error))
            return self._uncertain(str(error))
        pacing.record(self._delivery, host=self._host)
        return self._settle(answer)

    def _message(self) -> Message:
        """Raises PermanentError, after it is written down, where it cannot be made."""
        delivery, notification = self._delivery, self._delivery.notification
        try:
            said = content.of(delivery, secrets=sealing.unseal(delivery.sealed))
            delivery.digest = content.of(delivery).digest if delivery.sealed else said.digest
        except PermanentError as error:
            self._row.started_at = timezone.now()
            self._fail(Answer(Attempt.Outcome.PERMANENT, str(error)), reason="cannot_be_made")
        return Message(
            id=delivery.message_id,
            address=delivery.address,
            subject=said.subject,
            text=said.text,
            html=said.html,
            sender=notification.from_email,
            lane=notification.lane,
            reply_to=notification.reply_to,
            headers=consent.headers(delivery),
            files=[
                File(name=file.name, content=file.file.read(), content_type=file.content_type)
                for file in notification.attachments.all()
            ],
        )

    def _begin(self) -> None:
        """A crash after this, before the end is written down, leaves open whether it was sent."""
        if not until_reachable(self._marked):
            raise TransientError("Somebody else has taken this delivery.")
        self._begun = True

    def _marked(self) -> bool:
        with transaction.atomic():
            won = self._delivery.change(
                frm=State.PENDING,
                attempts=self._made,
                state=State.SENDING,
                attempts_made=self._made + 1,
                digest=self._delivery.digest,
            )
            if won:
                self._row.save(force_insert=True)
        return won

    def _settle(self, answer: Answer) -> dict[str, Any]:
        if answer.outcome == Attempt.Outcome.TEMPORARY:
            self._later(Attempt.Outcome.TEMPORARY, answer)
        if answer.outcome == Attempt.Outcome.PERMANENT:
            self._fail(answer, reason="refused")
        self._end(Attempt.Outcome.ACCEPTED, answer, state=State.SENT, reason="", finished_at=timezone.now(), sealed="")
        logger.info("%s: taken for %s by %s", self._delivery.message_id, self._delivery.address_key, self._host)
        return _told(self._delivery)

    def _later(self, outcome: Attempt.Outcome, answer: Answer) -> NoReturn:
        notification = self._delivery.notification
        wait = answer.retry_after or _backoff(self._made)
        patience = categories.get(notification.category).give_up_after
        starts = (self._delivery.created_at, notification.send_at, self._delivery.resent_at)
        since: datetime = max(start for start in starts if start)
        if timezone.now() + wait > since + patience:
            self._fail(answer, reason="gave_up", outcome=outcome)
        self._end(outcome, answer, state=State.PENDING)
        if not self._may_wait:
            raise Refused(f"{self._delivery.address_key}: {answer.text}")
        raise TransientError(answer.text, retry_after=wait)

    def _fail(self, answer: Answer, *, reason: str, outcome: Attempt.Outcome = Attempt.Outcome.PERMANENT) -> NoReturn:
        """Its secrets stay: whoever replays it needs them."""
        self._end(outcome, answer, state=State.FAILED, reason=reason, finished_at=timezone.now())
        raise Refused(f"{self._delivery.address_key}: {answer.text}")

    def _uncertain(self, words: str) -> dict[str, Any]:
        answer = Answer(Attempt.Outcome.TEMPORARY, words)
        if _when_unknown(self._delivery) == WhenUnknown.REPEAT:
            self._later(Attempt.Outcome.UNKNOWN, answer)
        self._end(Attempt.Outcome.UNKNOWN, answer, state=State.SENDING, reason=UNKNOWN)
        return _told(self._delivery)

    def _end(self, outcome: Attempt.Outcome, answer: Answer, **values: Any) -> None:
        self._row.ended_at, self._row.outcome = timezone.now(), outcome
        self._row.code, self._row.answer = answer.code, answer.text
        if not until_reachable(lambda: self._written(answer, values)):
            logger.warning("%s: somebody else has decided over it", self._delivery.message_id)

    def _written(self, answer: Answer, values: Mapping[str, Any]) -> bool:
        frm, made = (State.SENDING, self._made + 1) if self._begun else (State.PENDING, self._made)
        with transaction.atomic():
            won = self._delivery.change(
                frm=frm, attempts=made, attempts_made=self._made + 1, answer=answer.text, **values
            )
            if won:
                self._row.save(force_insert=not self._begun)
                if answer.blames_address:
                    consent.suppress(self._delivery, detail=answer.text)
        return won


def _reopen(delivery: Delivery, task_id: str) -> None:
    """A run died in its window, or a failed delivery's task is replayed."""
    if delivery.state == State.SENDING and delivery.reason != UNKNOWN:
        if _when_unknown(delivery) == WhenUnknown.REPEAT:
            values: dict[str, Any] = {"state": State.PENDING}
        else:
            values = {"state": State.SENDING, "reason": UNKNOWN}
        with transaction.atomic():
            if delivery.change(frm=State.SENDING, attempts=delivery.attempts_made, **values):
                delivery.attempts.filter(ended_at=None).update(outcome=Attempt.Outcome.UNKNOWN)
    elif delivery.state == State.FAILED and delivery.task_id != task_id:
        delivery.change(frm=State.FAILED, state=State.PENDING, task_id=task_id, reason="", finished_at=None)


def _when_unknown(delivery: Delivery) -> WhenUnknown:
    return categories.get(delivery.notification.category).when_unknown


def _backoff(attempts: int) -> timedelta:
    return domain().retry.delay(attempts, 0.5)


def _told(delivery: Delivery) -> dict[str, Any]:
    """The task's result."""
    told = {"delivery": delivery.pk, "to": delivery.address_key, "state": str(delivery.state)}
    return told | ({"reason": delivery.reason} if delivery.reason else {})
