"""The e-mail channel: checks a message when it is enqueued, and delivers it over Django's e-mail backend."""

import logging
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from django.conf import settings
from django.core import mail

from notifications import addresses, smtp
from notifications.addresses import InvalidAddress, Mailbox
from routing.errors import PermanentError, TransientError

logger = logging.getLogger(__name__)

MAX_RECIPIENTS = 100
"""What every server must take in one transaction (RFC 5321, 4.5.3.1.8)."""
MAX_SUBJECT = 250
MAX_BYTES = 1_000_000
"""Text and HTML together, in UTF-8. They travel in the task's message and stay in its result row."""

# A subject that breaks the line would let its author write further headers.
_LINE_BREAKING = frozenset({"Cc", "Zl", "Zp"})


@dataclass(frozen=True, kw_only=True)
class Email:
    """One message to one or more recipients, who all see each other's addresses."""

    subject: str
    text: str
    to: Sequence[str]
    html: str | None = None
    from_email: str | None = None
    """DEFAULT_FROM_EMAIL if left out."""
    reply_to: Sequence[str] = ()

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the task that delivers it: what was left out stays out."""
        return {name: value for name, value in asdict(self).items() if value}


class Outcome(TypedDict):
    """Who was accepted, and who was refused for good with the server's words; a task's result."""

    accepted: list[str]
    refused: dict[str, str]
    message_id: str


@dataclass(frozen=True)
class Problem:
    field: str
    detail: str


class InvalidEmail(PermanentError, ValueError):
    """An e-mail that cannot be sent as it is; ``problems`` names each field and the cure."""

    def __init__(self, message: str, *, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class Deferred(TransientError):
    """Some recipients may be accepted later; ``settled`` are those that need no further run."""

    def __init__(self, message: str, *, settled: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.settled = dict(settled or {})


def check(email: Email) -> None:
    """Raises InvalidEmail, which lists everything that is wrong."""
    if problems := list(_problems(email)):
        raise InvalidEmail(" ".join(f"{problem.field} {problem.detail}" for problem in problems), problems=problems)


def deliver(email: Email, *, key: str, settled: Mapping[str, str] | None = None) -> Outcome:
    """Hand a message to the mail server, and say who was accepted and who was refused.

    ``key`` becomes the Message-ID, so that a message sent twice is recognisable as one. ``settled`` maps recipients of
    an earlier run to the reason they were refused, empty if they were accepted; they are left out of this one.

    Safe to call again, with one window that no sender can close: a server that took the message, and could not say so
    before the connection or this process died, gets it again, under the same Message-ID.

    Raises TransientError, Deferred where recipients were refused for now, and PermanentError if nobody was accepted.
    """
    check(email)
    message_id = f"<{key}@{_sender(email).domain}>"
    settled = dict(settled or {})
    mailboxes = {addresses.parse(to).address: to for to in email.to if to not in settled}

    answers = smtp.hand_over(_message(email, message_id), sender=_sender(email).address, recipients=list(mailboxes))

    refused = {mailboxes[address]: reply for address, reply in answers.items()}
    later = [to for to, reply in refused.items() if reply.is_temporary]
    settled |= {to: str(refused.get(to, "")) for to in mailboxes.values() if to not in later}
    outcome = _outcome(settled, message_id)
    if later:
        raise Deferred(_sentence(refused, outcome), settled=settled)
    if not outcome["accepted"]:
        raise PermanentError(_sentence(refused, outcome))
    refusals = "; ".join(f"refused for {to}: {reason}" for to, reason in outcome["refused"].items())
    logger.info("%s accepted for %s; %s", message_id, ", ".join(outcome["accepted"]), refusals or "refused for nobody")
    return outcome


def _problems(email: Email) -> Iterator[Problem]:
    yield from _subject_problems(email.subject)
    yield from _body_problems(email)
    yield from _recipient_problems(email.to)
    yield from _address_problems("reply_to", email.reply_to)
    if email.from_email:
        yield from _address_problems("from_email", [email.from_email])


def _subject_problems(subject: str) -> Iterator[Problem]:
    if not subject.strip():
        yield Problem("subject", "is empty.")
    if len(subject) > MAX_SUBJECT:
        yield Problem("subject", f"is longer than {MAX_SUBJECT} characters.")
    if any(unicodedata.category(letter) in _LINE_BREAKING for letter in subject):
        yield Problem("subject", "has a line break or another control character; write it in one line.")
    if _is_unsendable(subject):
        yield Problem("subject", "has half of a surrogate pair, which is no character; take it out.")


def _body_problems(email: Email) -> Iterator[Problem]:
    if not email.text.strip():
        yield Problem("text", "is empty; mail readers that show no HTML need it.")
    if _bytes(email.text) + _bytes(email.html or "") > MAX_BYTES:
        yield Problem("text", f"is longer, together with html, than {MAX_BYTES:,} bytes; send a link instead.")
    for field, body in (("text", email.text), ("html", email.html or "")):
        if _is_unsendable(body):
            yield Problem(field, "has a NUL or half of a surrogate pair, which no mail can carry; take it out.")


def _recipient_problems(to: Sequence[str]) -> Iterator[Problem]:
    if isinstance(to, str):
        yield Problem("to", f"is a text; give a list: [{to!r}].")
    elif not to:
        yield Problem("to", "names no recipient.")
    elif len(to) > MAX_RECIPIENTS:
        yield Problem("to", f"names {len(to)} recipients; {MAX_RECIPIENTS} are possible. Send several e-mails.")
    else:
        yield from _address_problems("to", to)


def _address_problems(field: str, texts: Sequence[str]) -> Iterator[Problem]:
    for text in texts:
        try:
            addresses.parse(text)
        except InvalidAddress as error:
            yield Problem(field, f"cannot be used: {error}.")


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _is_unsendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\0" in text


def _sender(email: Email) -> Mailbox:
    return addresses.parse(email.from_email or settings.DEFAULT_FROM_EMAIL)


def _message(email: Email, message_id: str) -> mail.EmailMultiAlternatives:
    message = mail.EmailMultiAlternatives(
        subject=email.subject,
        body=email.text,
        from_email=str(_sender(email)),
        to=[str(addresses.parse(address)) for address in email.to],
        reply_to=[str(addresses.parse(address)) for address in email.reply_to],
        # Out-of-office notes do not answer a message that says so (RFC 3834).
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    if email.html:
        message.attach_alternative(email.html, "text/html")
    return message


def _outcome(settled: Mapping[str, str], message_id: str) -> Outcome:
    return Outcome(
        accepted=[to for to, reason in settled.items() if not reason],
        refused={to: reason for to, reason in settled.items() if reason},
        message_id=message_id,
    )


def _sentence(refused: Mapping[str, smtp.Reply], outcome: Outcome) -> str:
    """What an error says: the refusals of this run first, then who has got the message."""
    said = "; ".join(f"{to}: {reply}" for to, reply in refused.items())
    taken = f" It was accepted for {', '.join(outcome['accepted'])}." if outcome["accepted"] else ""
    return f"The mail server refused {said}.{taken}"
