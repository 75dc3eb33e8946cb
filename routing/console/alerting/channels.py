"""The ways an alert takes: mail, by Django's own means, and a webhook. Neither is a task."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import make_msgid
from hashlib import sha256
from typing import Protocol

from django.conf import settings
from django.core.mail import EmailMessage

from routing import outward
from routing.console.alerting.letters import Letter


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


def declared() -> list[Channel]:
    """Those that the settings name; empty where nobody is to be told."""
    found: list[Channel] = []
    # It has an answer within seconds; a mail server may let one wait.
    if settings.TASKYARD_ALERTS_WEBHOOK:
        found.append(Webhook(settings.TASKYARD_ALERTS_WEBHOOK))
    if settings.TASKYARD_ALERTS_EMAIL:
        found.append(Mail(settings.TASKYARD_ALERTS_EMAIL))
    return found
