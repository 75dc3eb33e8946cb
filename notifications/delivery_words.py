"""What a delivery says to people: its state as a coloured word, why it is in it, and the answer in one sentence."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from notifications import categories, stranded
from notifications.consent.tables import Suppression
from notifications.deciding import DECIDED
from notifications.delivering import UNKNOWN
from notifications.tables import Attempt, Delivery
from routing.console.result_rows import StateWord
from routing.console.verdict import Verdict
from routing.ledger import lookup
from routing.ledger.tables import Message

State = Delivery.State

_TONES = {
    State.PENDING: "",
    State.SENDING: "info",
    State.SENT: "success",
    State.FAILED: "danger",
    State.SUPPRESSED: "warning",
    State.BOUNCED: "danger",
    State.CANCELLED: "",
}
_QUOTED = 300
"""Characters of an answer that the sentence above all quotes; the attempts have more of it."""
UNDECIDED = StateWord(State.SENDING.value, gettext_lazy("undecided"), "warning")


@dataclass(frozen=True)
class DeliveryRow:
    """Reads a delivery, and its task where that is in flight; asks the database nothing."""

    row: Delivery
    task: Message | None
    at: datetime

    @property
    def is_stranded(self) -> bool:
        return not self.row.is_final and self.row.reason != UNKNOWN and self.task is None

    @property
    def is_undecided(self) -> bool:
        return self.row.state == State.SENDING and (self.row.reason == UNKNOWN or self.task is None)

    @property
    def state(self) -> StateWord:
        if self.is_undecided:
            return UNDECIDED
        state = State(self.row.state)
        return StateWord(state.value, state.label, _TONES[state])

    @property
    def said(self) -> str:
        """What the other side said last, in one line."""
        return " ".join(self.row.answer.split())

    @property
    def why(self) -> str:
        """Why it is in its state, in a few words."""
        match self.row.state:
            case State.PENDING:
                return self._waits()
            case State.SENDING:
                return _("asked: may have been sent") if self.is_undecided else _("is being handed over")
            case State.SENT:
                return _("somebody said that it was sent") if self.row.reason == DECIDED else self.said
            case State.FAILED:
                return _failed(self.row.reason, self.said)
            case State.SUPPRESSED:
                return suppressed_words(self.row)
        return self.said if self.row.state == State.BOUNCED else ""

    def _waits(self) -> str:
        if self.task is None:
            return _("its task is gone; nothing sends it")
        if self.task.owner is not None:
            return _("a worker has it")
        if self.task.due_at <= self.at:
            return _("waits for a worker of %(queue)s") % {"queue": self.task.queue}
        when = clock(self.task.due_at, at=self.at)
        if self.row.attempts_made and self.said:
            return _("waits: %(answer)s, next try %(when)s") % {"answer": self.said, "when": when}
        send_at = self.row.notification.send_at
        if send_at and send_at > self.at:
            return _("scheduled for %(when)s") % {"when": when}
        return _("waits for its turn, next try %(when)s") % {"when": when}


def rows_of(deliveries: Iterable[Delivery]) -> dict[int, DeliveryRow]:
    """With their tasks, in one query."""
    listed, now = list(deliveries), timezone.now()
    ids = [delivery.task_id for delivery in listed if not delivery.is_final]
    found = lookup.messages().filter(pk__in=ids).only("due_at", "owner", "queue", "state", "error") if ids else ()
    tasks = {message.pk: message for message in found}
    return {delivery.pk: DeliveryRow(delivery, tasks.get(delivery.task_id), now) for delivery in listed}


def answer(seen: DeliveryRow, last: Attempt | None) -> Verdict:
    """The answer to “did she get it?”."""
    row, said = seen.row, Truncator(seen.said).chars(_QUOTED)
    match row.state:
        case State.PENDING:
            return Verdict("bad" if seen.is_stranded else "look", _not_yet(seen))
        case State.SENDING:
            return _sending(seen, last)
        case State.SENT:
            return Verdict("good", _sent(row, last, said), _resent(row))
        case State.FAILED:
            return Verdict("bad", _not_delivered(row, last, said))
        case State.SUPPRESSED:
            return Verdict("look", _("Not sent: %(why)s.") % {"why": suppressed_words(row)})
        case State.BOUNCED:
            told = {"when": day_and_time(row.finished_at), "said": said or _("no reason was given")}
            return Verdict("bad", _("Sent on %(when)s, and it came back: %(said)s") % told)
    return Verdict("look", _("Not sent: it was cancelled on %(when)s.") % {"when": day_and_time(row.finished_at)})


def suppression(address_key: str, *, channel: str = "email") -> Suppression | None:
    """Why the address is not written to, if so."""
    return Suppression.objects.filter(channel=channel, address_key=address_key, lifted_at=None).first()


def suppressed_words(row: Delivery) -> str:
    """``reason`` is why its address is suppressed, or that its recipient has unsubscribed."""
    return objection_words(row.reason, category=row.notification.category)


def objection_words(reason: str, *, category: str) -> str:
    if reason == "unsubscribed":
        known_as = categories.registry().get(category)
        return _("unsubscribed from “%(title)s”") % {"title": known_as.title if known_as else category}
    known: dict[str, Any] = dict(Suppression.Reason.choices)
    return _("the address is suppressed: %(why)s") % {"why": known.get(reason, reason)}


def clock(moment: datetime, *, at: datetime) -> str:
    """“12:04”, or “Fri 27 Nov, 12:04” on another day."""
    local, today = timezone.localtime(moment), timezone.localtime(at)
    if local.date() == today.date():
        return date_format(local, "H:i")
    day = date_format(local, "MONTH_DAY_FORMAT" if local.year == today.year else "DATE_FORMAT")
    return f"{date_format(local, 'D')} {day}, {local:%H:%M}"


def day_and_time(moment: datetime | None) -> str:
    """“Friday 27 November 2026 at 09:12”."""
    if moment is None:
        return _("an unknown day")
    local = timezone.localtime(moment)
    return _("%(day)s at %(time)s") % {"day": date_format(local, "l j F Y"), "time": date_format(local, "H:i")}


def _failed(reason: str, said: str) -> str:
    words = {
        "refused": _("refused for good: %(said)s"),
        "gave_up": _("given up: %(said)s"),
        "cannot_be_made": _("could not be made: %(said)s"),
        **_of_tasks(),
    }
    return (words.get(reason) or "%(said)s") % {"said": said}


def _of_tasks() -> dict[str, str]:
    """Of those whose tasks ended without them."""
    return {
        stranded.CANCELLED: _("its task was cancelled"),
        stranded.EXPIRED: _("its task was too late, and expired"),
        stranded.DIED: _("its task failed before it had sent it; see the dead letters"),
    }


def _not_yet(seen: DeliveryRow) -> str:
    if seen.is_stranded:
        return _("Not sent, and nothing sends it: its task is gone, such as cancelled by itself. Send it again.")
    return _("Not sent yet: %(why)s.") % {"why": seen.why}


def _sending(seen: DeliveryRow, last: Attempt | None) -> Verdict:
    if not seen.is_undecided:
        return Verdict("look", _("It is being handed over just now."))
    told = {"host": last.host if last else _("the server"), "when": day_and_time(last.started_at if last else None)}
    return Verdict(
        "bad",
        _("It may have been sent: %(host)s was handed it on %(when)s, and no answer came.") % told,
        [_("Ask the recipient, or look for its Message-ID in the log of the server. Then decide here.")],
    )


def _sent(row: Delivery, last: Attempt | None, said: str) -> str:
    when = day_and_time(row.finished_at)
    if row.reason == DECIDED:
        return _("Sent, as somebody decided on %(when)s: the answer of the server never came.") % {"when": when}
    if last is None or last.outcome != Attempt.Outcome.ACCEPTED:
        return _("Sent on %(when)s: %(said)s") % {"when": when, "said": said}
    told = {"when": when, "host": last.host, "said": said}
    return _("Sent on %(when)s, taken by %(host)s: %(said)s") % told


def _resent(row: Delivery) -> list[str]:
    if row.resent_at is None:
        return []
    return [_("It was sent again, as somebody asked on %(when)s.") % {"when": day_and_time(row.resent_at)}]


def _not_delivered(row: Delivery, last: Attempt | None, said: str) -> str:
    when = day_and_time(row.finished_at)
    host = last.host if last else _("the server")
    match row.reason:
        case "refused":
            told = {"host": host, "when": when, "said": said}
            return _("Not delivered: %(host)s refused it for good on %(when)s: %(said)s") % told
        case "gave_up":
            tries = ngettext("%(count)d attempt", "%(count)d attempts", row.attempts_made) % {
                "count": row.attempts_made
            }
            told = {"when": when, "tries": tries, "said": said}
            return _("Not delivered: given up on %(when)s after %(tries)s. The last answer: %(said)s") % told
        case "cannot_be_made":
            return _("Not sent: it could not be made: %(said)s") % {"said": said}
        case reason if reason in _of_tasks():
            return _("Not sent: %(why)s. To have it sent, send it again.") % {"why": _of_tasks()[reason]}
    return _("Not delivered: %(said)s") % {"said": said}
