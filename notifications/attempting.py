"""One attempt at a delivery: what is written down before, between and after the steps of handing it over."""

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from notifications import attachments, attempt_rows, categories, channels, consent, content, pacing, sealing
from notifications.categories import WhenUnknown
from notifications.channels.shape import Answer, Message, Uncertain
from notifications.lanes import domain
from notifications.tables import Attempt, Delivery
from routing import faults
from routing.errors import NotYet, PermanentError, TransientError
from routing.ledger import database
from routing.ledger import tables as ledger
from routing.ledger.patience import is_passing, until_reachable
from routing.worker import hands
from routing.worker.running import storable

logger = logging.getLogger(__name__)

State, Outcome = Delivery.State, Attempt.Outcome

UNKNOWN = "outcome_unknown"
"""The reason of a delivery that stays in SENDING until somebody decides."""
MOST_REPEATS = 3
"""Who may have got it so often is not written to again unasked: a server that breaks off each time may take it, too."""


class Overtaken(Exception):
    """Somebody else has sent or cancelled it since this run began; nothing has been handed over."""


@dataclass(frozen=True)
class Verdict:
    """What an attempt makes of its delivery; ``wait`` until the next one, if there is to be one."""

    state: Delivery.State
    reason: str = ""
    wait: timedelta | None = None

    @property
    def values(self) -> dict[str, Any]:
        found: dict[str, Any] = {"state": self.state, "reason": self.reason}
        if self.state in (State.SENT, State.FAILED):
            found["finished_at"] = timezone.now()
        if self.state == State.SENT:
            # Of what has failed the secrets stay: whoever replays it needs them.
            found["sealed"] = ""
        return found


class Try:
    """One attempt at a delivery that is pending."""

    def __init__(self, delivery: Delivery, *, task_id: str, worker: str, may_wait: bool) -> None:
        self._delivery = delivery
        self._may_wait = may_wait
        self._channel = channels.get(delivery.channel)
        self._host = self._channel.host(delivery.address_key, lane=delivery.notification.lane)
        self._made = delivery.attempts_made
        self._row = Attempt(
            delivery=delivery,
            number=self._made + 1,
            host=self._host,
            started_at=timezone.now(),
            task_id=task_id,
            worker=worker,
        )
        self._was_asked = False
        self._begun = self._blames_address = False
        self._verdict = Verdict(State.PENDING)
        self._mistake: Exception | None = None
        self._secrets: Mapping[str, Any] = {}

    def run(self) -> Verdict | None:
        """Hand it over. What that makes of its delivery is still to be written; None where somebody else was first.

        Raises NotYet, where it is not its turn, and what no channel should raise: that is a mistake in the code.
        """
        try:
            answer = self._without_secrets(self._answer())
        except Overtaken:
            self._delivery.refresh_from_db()
            return None
        faults.point("delivery.taken")
        hands.close_body()
        row = self._row
        row.ended_at, row.outcome, row.code = timezone.now(), answer.outcome, answer.code
        row.answer = storable(answer.text)
        self._blames_address = answer.blames_address
        self._tell_the_gates(answer)
        self._verdict = until_reachable(lambda: self._judged(answer))
        return self._verdict

    def end(self) -> timedelta | None:
        """Write it down, in one transaction or as part of one; where it has to be tried again, say when.

        Safe to call again.
        """
        with database.atomic():
            won = self._written()
            faults.point("delivery.written")
        if not won:
            self._delivery.refresh_from_db()
        elif self._mistake is not None:
            raise self._mistake
        return self._verdict.wait if won else None

    def _answer(self) -> Answer:
        """What came of it. Raises NotYet and Overtaken, where nothing has."""
        try:
            if self._may_wait:
                pacing.pass_through(self._delivery, host=self._host)
            message = self._message()
            self._was_asked, self._row.started_at = True, timezone.now()
            return self._channel.send(message, handing_over=self._begin)
        except (NotYet, Overtaken):
            raise
        except Uncertain as error:
            return Answer(Outcome.UNKNOWN, str(error))
        except TransientError as error:
            return Answer(Outcome.UNREACHABLE, str(error), retry_after=error.retry_after)
        except PermanentError as error:
            return Answer(Outcome.PERMANENT, str(error))
        except Exception as error:
            if is_passing(error):
                raise
            # A mistake of ours, which another attempt would only make again.
            self._mistake = sealing.told_without(error, self._secrets)
            logger.error("%s: could not be handed over", self._delivery.message_id, exc_info=self._mistake)  # noqa: TRY400
            return Answer(Outcome.UNKNOWN if self._begun else Outcome.PERMANENT, f"{type(error).__name__}: {error}")

    def _without_secrets(self, answer: Answer) -> Answer:
        """Servers quote the links that they refuse."""
        return replace(answer, text=sealing.without(answer.text, self._secrets))

    def _message(self) -> Message:
        """Raises PermanentError where it cannot be made."""
        delivery, notification = self._delivery, self._delivery.notification
        self._secrets = sealing.unseal(delivery.sealed)
        said = content.of(delivery, secrets=self._secrets)
        content.require(said, channel=delivery.channel, sender=notification.from_email)
        delivery.digest = content.of(delivery).digest if delivery.sealed else said.digest
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
            files=attachments.of(notification.pk),
            address_key=delivery.address_key,
            category=notification.category,
            delivery=delivery.pk,
            values={**notification.context, **delivery.context, **self._secrets},
            asked_at=notification.created_at,
        )

    def _begin(self) -> None:
        """A crash after this, before the end is written down, leaves open whether it was sent."""
        faults.point("delivery.ready")
        with hands.Recording():
            if not until_reachable(self._marked):
                raise Overtaken
            self._begun = True
        faults.point("delivery.marked")

    def _marked(self) -> bool:
        delivery, row = self._delivery, self._row
        won = attempt_rows.begin(delivery, row, digest=delivery.digest, is_repeatable=not asks(delivery))
        # The answer to our own commit may have been lost.
        return won or attempt_rows.has_begun(row)

    def _judged(self, answer: Answer) -> Verdict:
        if answer.outcome == Outcome.ACCEPTED:
            return Verdict(State.SENT)
        if answer.outcome == Outcome.PERMANENT:
            return Verdict(State.FAILED, self._why_failed())
        is_unknown = answer.outcome == Outcome.UNKNOWN
        if is_unknown and (self._mistake is not None or must_ask(self._delivery)):
            return Verdict(State.SENDING, UNKNOWN)
        if (wait := self._wait(answer.retry_after)) is not None:
            return Verdict(State.PENDING, wait=wait)
        return Verdict(State.SENDING, UNKNOWN) if is_unknown else Verdict(State.FAILED, "gave_up")

    def _why_failed(self) -> str:
        if self._mistake is not None:
            return "broken"
        return "refused" if self._was_asked else "cannot_be_made"

    def _wait(self, asked: timedelta | None) -> timedelta | None:
        """None where it has been tried for long enough; the last try is at the very end of that."""
        left = self._give_up_at() - timezone.now()
        if left <= timedelta():
            return None
        # At random, so that what was refused together does not come back together.
        chance = random.random()  # noqa: S311
        return min(asked or domain().retry.delay(self._made, chance), left)

    def _give_up_at(self) -> datetime:
        """What it waited before its first attempt is not held against it, and a replay has the whole time again."""
        first = self._delivery.attempts.order_by("number").first() or self._row
        enqueued = ledger.Message.objects.filter(pk=self._row.task_id).values_list("created_at", flat=True)
        began = max([first.started_at, *enqueued])
        return began + categories.get(self._delivery.notification.category).give_up_after

    def _written(self) -> bool:
        """Whether it was still ours to decide."""
        delivery, row, verdict = self._delivery, self._row, self._verdict
        values = {**verdict.values, "answer": row.answer}
        if not attempt_rows.end(delivery, row, values, has_begun=self._begun):
            logger.warning("%s: somebody else has decided over it; this run saw: %s", delivery.message_id, row.answer)
            attempt_rows.note(row)
            return False
        if self._blames_address:
            consent.suppress(delivery, detail=row.answer)
        logger.info("%s to %s: %s, %s", delivery.message_id, delivery.address_key, verdict.state, row.answer)
        return True

    def _tell_the_gates(self, answer: Answer) -> None:
        if self._was_asked and self._mistake is None:
            is_away = answer.outcome in (Outcome.UNREACHABLE, Outcome.UNKNOWN) or answer.is_for_all
            pacing.record(self._delivery, host=self._host, error=answer.text if is_away else "")


def asks(delivery: Delivery) -> bool:
    """Whether its category would rather have somebody decide than send it twice."""
    return categories.get(delivery.notification.category).when_unknown == WhenUnknown.ASK


def must_ask(delivery: Delivery) -> bool:
    """Of a delivery that may have been taken, and whose attempts say so already."""
    if asks(delivery):
        return True
    open_ends = delivery.attempts.filter(Q(outcome=Outcome.UNKNOWN) | Q(ended_at=None))
    return open_ends.count() >= MOST_REPEATS
