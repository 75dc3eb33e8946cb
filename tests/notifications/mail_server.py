"""A real SMTP server on loopback that answers as it is told."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pytest_django import Settings

from notifications.channels import lines
from tests.notifications.certificate import Certificate
from tests.services import free_port

PASSWORD = b"correct horse"


@dataclass
class Delivery:
    """One message as the server took it."""

    recipients: list[str]
    message: EmailMessage


@dataclass
class MailServer:
    """Its answers, and what it has taken. A recipient in ``once`` hears its answer a single time.

    ``hangs`` and ``drops`` concern the message itself.
    """

    port: int
    to_sender: str = "250 fine"
    to_recipient: dict[str, str] = field(default_factory=dict)
    once: dict[str, str] = field(default_factory=dict)
    to_message: str = "250 taken"
    hangs: bool = False
    drops: bool = False
    deliveries: list[Delivery] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    """One for each connection that has written a message."""

    controller: Controller | None = None

    def start(self, **options: Any) -> None:
        self.controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=_authenticate,
            auth_require_tls=False,
            **options,
        )
        self.controller.start()

    def encrypt(self, certificate: Certificate, *, at_once: bool) -> None:
        """From the first byte, or when it is told STARTTLS, without which it takes nothing."""
        if at_once:
            self.start(ssl_context=certificate.context)
        else:
            self.start(tls_context=certificate.context, require_starttls=True)

    def stop(self) -> None:
        if self.controller is not None:
            self.controller.stop()

    goodbyes: int = 0

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.goodbyes += 1
        return "221 bye"

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        if session not in self.sessions:
            self.sessions.append(session)
        return self.to_sender

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.once.pop(address, self.to_recipient.get(address, "250 fine"))
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.hangs:
            await asyncio.Event().wait()
        if self.drops:
            cast(asyncio.Transport, server.transport).abort()
            return ""
        if self.to_message.startswith("250"):
            message = message_from_bytes(cast(bytes, envelope.content), policy=policy.default)
            self.deliveries.append(Delivery(list(envelope.rcpt_tos), message))
        return self.to_message


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    """A server that Django's settings name; it takes everything until told otherwise."""
    server = MailServer(free_port())
    server.start()
    _name(server, settings)
    yield server
    lines.disconnect()
    server.stop()


@pytest.fixture
def encrypted_mail_server(settings: Settings) -> Iterator[MailServer]:
    """The same, once it is told how to encrypt."""
    server = MailServer(free_port())
    _name(server, settings)
    yield server
    lines.disconnect()
    server.stop()


def _name(server: MailServer, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 5
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    success = isinstance(data, LoginPassword) and data.password == PASSWORD
    return AuthResult(success=success, handled=success)
