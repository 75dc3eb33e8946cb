"""Hands one e-mail to Django's backend, and tells apart who has got it, who has not, and who may have.

A connection to an SMTP server is kept for the next message. The message takes effect with its last line: everything
before that may break off and has done nothing.
"""

import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import SafeMIMEText

from notifications.channels.shape import Answer, Uncertain, Unreachable
from notifications.tables import Attempt

KEPT_FOR = 30.0
"""Seconds that a connection may lie idle; servers end it after a few minutes."""
MESSAGES = 100
"""After so many a connection is given up: servers count, and some refuse more."""

_START_OF_INPUT, _TAKEN, _CLOSING = 354, 250, 421


@dataclass
class Line:
    """An open connection, and what it has carried."""

    backend: EmailBackend
    used_at: float
    carried: int = 0

    @property
    def smtp(self) -> smtplib.SMTP:
        return cast(smtplib.SMTP, self.backend.connection)

    def is_good(self) -> bool:
        return self.carried < MESSAGES and time.monotonic() - self.used_at < KEPT_FOR

    def drop(self) -> None:
        """Without a goodbye, for which a server that hangs would be waited for."""
        if self.backend.connection is not None:
            self.smtp.close()
            self.backend.connection = None


class _Kept(threading.local):
    line: Line | None = None


_kept = _Kept()


class Refused(Exception):
    """The server's answer to a command before the message itself."""

    def __init__(self, code: int, text: bytes | str, *, blames_address: bool = False, what: str = "") -> None:
        self.answer = _answer(code, text, blames_address=blames_address, what=what)
        self.closes = code == _CLOSING


def host() -> str:
    backend = mail.get_connection()
    return f"{backend.host}:{backend.port}" if isinstance(backend, EmailBackend) else type(backend).__module__


def hand_over(message: mail.EmailMessage, *, sender: str, to: str, handing_over: Callable[[], Any]) -> Answer:
    """Raises Unreachable and, once ``handing_over`` has been called, Uncertain."""
    backend = mail.get_connection()
    if not isinstance(backend, EmailBackend):
        return _by_backend(backend, message, handing_over)
    body = cast(SafeMIMEText, message.message()).as_bytes(linesep="\r\n")
    try:
        line = _opened(backend, sender, to)
    except Refused as refused:
        return refused.answer
    except (OSError, SoftTimeLimitExceeded) as error:
        return _unreachable(error, backend)
    handing_over()
    return _transfer(line, body)


def disconnect() -> None:
    """Let go of the connection that is kept, if any."""
    line, _kept.line = _kept.line, None
    if line is not None:
        line.drop()


def _opened(backend: EmailBackend, sender: str, to: str) -> Line:
    """A connection on which the server waits for the message. Raises Refused, OSError and SoftTimeLimitExceeded."""
    kept = _kept.line
    if kept is not None and kept.is_good() and _same_server(kept.backend, backend):
        try:
            return _announced(kept, sender, to)
        except (Refused, OSError) as error:
            if isinstance(error, Refused) and not error.closes:
                raise
            # A server may end an idle connection at any time: that says nothing about this message.
    disconnect()
    backend.open()
    _kept.line = Line(backend, time.monotonic())
    return _announced(_kept.line, sender, to)


def _announced(line: Line, sender: str, to: str) -> Line:
    try:
        if line.carried:
            line.smtp.rset()
        line.smtp.ehlo_or_helo_if_needed()
        _command(line.smtp.mail(sender), what=f"the sender {sender}")
        _command(line.smtp.rcpt(to), blames_address=True)
        code, text = line.smtp.docmd("DATA")
        if code != _START_OF_INPUT:
            raise Refused(code, text, what="the message")
    except (OSError, SoftTimeLimitExceeded):
        disconnect()
        raise
    except Refused as refused:
        if refused.closes:
            disconnect()
        else:
            line.used_at, line.carried = time.monotonic(), line.carried + 1
        raise
    return line


def _command(reply: tuple[int, bytes], *, what: str = "", blames_address: bool = False) -> None:
    code, text = reply
    if code not in (_TAKEN, 251):
        raise Refused(code, text, blames_address=blames_address and code != _CLOSING, what=what)


def _transfer(line: Line, body: bytes) -> Answer:
    try:
        line.smtp.send(_quoted(body))
        code, text = line.smtp.getreply()
    except (OSError, SoftTimeLimitExceeded) as error:
        disconnect()
        raise Uncertain(f"{_name(line.backend)} broke off while it took the message: {_words(error)}") from error
    line.used_at, line.carried = time.monotonic(), line.carried + 1
    if code == _CLOSING:
        disconnect()
    return _answer(code, text, what="the message")


def _quoted(body: bytes) -> bytes:
    """A line that begins with a dot gets another one, and a dot alone is the end (RFC 5321, 4.5.2)."""
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    return (b"." if body.startswith(b".") else b"") + body.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _by_backend(backend: BaseEmailBackend, message: mail.EmailMessage, handing_over: Callable[[], Any]) -> Answer:
    """A file, the console, or another service's backend, which speaks for itself."""
    handing_over()
    backend.send_messages([message])
    return Answer(Attempt.Outcome.ACCEPTED)


def _unreachable(error: BaseException, backend: EmailBackend) -> Answer:
    """Raises Unreachable, unless the server, or we, said that it will never do."""
    name = _name(backend)
    if isinstance(error, smtplib.SMTPResponseException):
        refused = "the login in EMAIL_URL" if isinstance(error, smtplib.SMTPAuthenticationError) else "the connection"
        answer = _answer(error.smtp_code, error.smtp_error, what=refused)
        if answer.outcome == Attempt.Outcome.TEMPORARY:
            raise Unreachable(f"{name} refused {refused}: {answer.text}") from error
        return answer
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"{name} cannot prove who it is: {error.verify_message}. Correct its certificate or EMAIL_URL."
        return Answer(Attempt.Outcome.PERMANENT, words)
    if isinstance(error, smtplib.SMTPException) and not isinstance(error, smtplib.SMTPServerDisconnected):
        return Answer(Attempt.Outcome.PERMANENT, f"{name} cannot do what EMAIL_URL asks of it: {error}")
    raise Unreachable(f"{name} cannot be reached or broke off: {_words(error)}") from error


def _answer(code: int, text: bytes | str, *, what: str = "", blames_address: bool = False) -> Answer:
    words = " ".join((text.decode(errors="replace") if isinstance(text, bytes) else text).split())
    said = f"{code} {words}".strip()
    if code == _TAKEN:
        return Answer(Attempt.Outcome.ACCEPTED, said, code)
    said = f"refused {what}: {said}" if what else said
    if code < 500:
        return Answer(Attempt.Outcome.TEMPORARY, said, code)
    return Answer(Attempt.Outcome.PERMANENT, said, code, blames_address=blames_address)


def _same_server(one: EmailBackend, other: EmailBackend) -> bool:
    names = ("host", "port", "username", "password", "use_tls", "use_ssl")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _name(backend: EmailBackend) -> str:
    return f"The mail server {backend.host}:{backend.port}"


def _words(error: BaseException) -> str:
    if isinstance(error, SoftTimeLimitExceeded):
        return "it took longer than this task may run"
    return str(error) or type(error).__name__
