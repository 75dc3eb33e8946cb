"""The ways an alert takes: mail, by Django's own means, and a webhook. Neither is a task."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import make_msgid
from hashlib import sha256
from typing import Protocol

from django.conf import settings
from django.core.mail import EmailMessage

from routing import outward
from routing.console.alerting.letters import Letter

logger = logging.getLogger(__name__)


class Channel(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def to(self) -> str:
        """Whom it reaches, for people; no secret is in it."""

    def send(self, letter: Letter) -> None:
        """Raises whatever went wrong, if it was not taken."""


@dataclass(frozen=True)
class Mail:
    addresses: Sequence[str]
    name: str = "mail"

    @property
    def to(self) -> str:
        return ", ".join(self.addresses)

    def send(self, letter: Letter) -> None:
        # The same each time the same is told: mail programs show one that came twice once.
        unique = sha256(letter.number.encode()).hexdigest()[:32] if letter.number else ""
        domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">") or "localhost"
        headers = {
            "Message-ID": f"<alert.{unique}@{domain}>" if unique else make_msgid(domain=domain),
            "Auto-Submitted": "auto-generated",
        }
        message = EmailMessage(letter.subject, letter.text, to=list(self.addresses), headers=headers)
        message.send()


@dataclass(frozen=True)
class Webhook:
    url: str
    name: str = "webhook"

    @property
    def to(self) -> str:
        return outward.place(self.url)

    def send(self, letter: Letter) -> None:
        outward.post(self.url, letter.as_json())


def attempt(channel: Channel, letter: Letter) -> str:
    """Why it was not taken; empty if it was. What nobody else has refused is our own mistake, and logged as such."""
    try:
        channel.send(letter)
    except Exception as error:
        # Whatever it is, it is tried again, and the other channel is not held up.
        if not _is_refusal(error):
            logger.exception("Telling it by %s to %s failed, by a mistake on our side", channel.name, channel.to)
        return str(error) or type(error).__name__
    return ""


def _is_refusal(error: Exception) -> bool:
    """Whether a server said no, or nothing: smtplib's errors are the system's, and those of files name one."""
    if isinstance(error, OSError):
        return error.filename is None
    # Loaded where mail goes through a provider.
    providers = sys.modules.get("anymail.exceptions")
    answers = (providers.AnymailAPIError, providers.AnymailRecipientsRefused) if providers else ()
    return isinstance(error, (outward.NotTaken, *answers))


def declared() -> list[Channel]:
    """Those that the settings name; empty where nobody is to be told."""
    found: list[Channel] = []
    # It has an answer within seconds; a mail server may let one wait.
    if settings.TASKYARD_ALERTS_WEBHOOK:
        found.append(Webhook(settings.TASKYARD_ALERTS_WEBHOOK))
    if settings.TASKYARD_ALERTS_EMAIL:
        found.append(Mail(settings.TASKYARD_ALERTS_EMAIL))
    return found
