"""Hands a message to the mail server, and translates what the server says into the error that decides a task's fate."""

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import SafeMIMEText

from routing.errors import PermanentError, TransientError

_CLOSING = 421


@dataclass(frozen=True)
class Reply:
    """A refusal in the server's own words."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()

    @property
    def is_temporary(self) -> bool:
        return self.code < 500


def hand_over(message: mail.EmailMessage, *, sender: str, recipients: Sequence[str]) -> dict[str, Reply]:
    """Send to these recipients, and return those whom the server refused.

    Raises TransientError or PermanentError where the server took the message for nobody for a reason of its own.
    """
    backend = mail.get_connection()
    try:
        with backend:
            refused = _send(backend, message, sender, recipients)
    except smtplib.SMTPRecipientsRefused as error:
        refused = _refused_by_all(error.recipients, recipients)
    except (OSError, SoftTimeLimitExceeded) as error:
        raise _translated(error, _name(backend)) from error
    return {address: _reply(*answer) for address, answer in refused.items()}


def _send(
    backend: BaseEmailBackend, message: mail.EmailMessage, sender: str, recipients: Sequence[str]
) -> Mapping[str, tuple[int, bytes]]:
    """Django's SMTP backend drops what a server says of those it refused while it took others; so we ask for it."""
    if not isinstance(backend, EmailBackend):
        backend.send_messages([message])
        return {}
    connection = cast(smtplib.SMTP, backend.connection)
    body = cast(SafeMIMEText, message.message()).as_bytes(linesep="\r\n")
    try:
        return connection.sendmail(sender, recipients, body)
    except SoftTimeLimitExceeded:
        # The time left until the hard limit is too short to wait for a slow server's goodbye.
        connection.close()
        raise


def _refused_by_all(
    answers: Mapping[str, tuple[int, bytes]], recipients: Sequence[str]
) -> Mapping[str, tuple[int, bytes]]:
    """A server that closes within the list takes nothing, and has not heard of those further down."""
    last = list(answers.values())[-1]
    if last[0] != _CLOSING:
        return answers
    return {**dict.fromkeys(recipients, last), **answers}


def _translated(error: BaseException, server: str) -> Exception:
    if isinstance(error, SoftTimeLimitExceeded):
        return TransientError(f"{server} took longer than this task may run.")
    if isinstance(error, smtplib.SMTPResponseException):
        return _refusal(error, server)
    if isinstance(error, ssl.SSLCertVerificationError):
        return PermanentError(
            f"{server} cannot prove who it is: {error.verify_message}. Correct its certificate or EMAIL_URL."
        )
    if isinstance(error, smtplib.SMTPException) and not isinstance(error, smtplib.SMTPServerDisconnected):
        return PermanentError(f"{server} cannot do what EMAIL_URL asks of it: {error}")
    return TransientError(f"{server} cannot be reached or broke off: {error or type(error).__name__}")


def _refusal(error: smtplib.SMTPResponseException, server: str) -> Exception:
    reply = _reply(error.smtp_code, error.smtp_error)
    what = {
        smtplib.SMTPAuthenticationError: "the login in EMAIL_URL",
        smtplib.SMTPConnectError: "the connection",
        smtplib.SMTPDataError: "the message",
        smtplib.SMTPSenderRefused: f"the sender {getattr(error, 'sender', '')}",
    }.get(type(error), "to go on")
    words = f"{server} refused {what}: {reply}"
    return TransientError(words) if reply.is_temporary else PermanentError(words)


def _reply(code: int, text: bytes | str) -> Reply:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    return Reply(code, " ".join(words.split()))


def _name(backend: BaseEmailBackend) -> str:
    if isinstance(backend, EmailBackend):
        return f"The mail server {backend.host}:{backend.port}"
    return f"The e-mail backend {type(backend).__module__}"
