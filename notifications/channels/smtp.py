"""Hands one e-mail to an SMTP server, and tells apart who has got it, who has not, and who may have.

The message takes effect with its last line, a dot: everything before that may break off and has done nothing. So all
but that line goes out first, and it alone lies in the window in which a crash leaves open what has become of it.
"""

import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import SafeMIMEText, utf8_charset_qp

from notifications.channels import answers, lines
from notifications.channels.lines import Line
from notifications.channels.shape import Answer, Uncertain, Unreachable
from notifications.tables import Attempt
from routing import faults

SECONDS = 20.0
"""Where EMAIL_TIMEOUT is not set: for all up to the last line together, and once more for the answer to that."""

_START_OF_INPUT = 354
# Log in first, encrypt first, wrong password: no word about the message, and all others would hear the same.
_ABOUT_SETTINGS = frozenset({530, 534, 535, 538})
_LAST_LINE = b".\r\n"


class Refused(Exception):
    """The server's answer to a command before the message's last line."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text)
        self.answer = answer


@dataclass(frozen=True)
class Letter:
    email: mail.EmailMessage
    sender: str
    to: str

    def data(self, *, eight_bit: bool) -> bytes:
        """As lines that end as SMTP has them; in ASCII for a server that takes no other bytes."""
        data = _flattened(self.email)
        if data.isascii() or eight_bit:
            return data
        encoding, self.email.encoding = self.email.encoding, cast(str, utf8_charset_qp)
        try:
            return _flattened(self.email)
        finally:
            self.email.encoding = encoding


def hand_over(backend: EmailBackend, letter: Letter, *, handing_over: Callable[[], Any]) -> Answer:
    """Raises Unreachable where it has certainly not been taken, and Uncertain where it may have been."""
    seconds = float(backend.timeout or SECONDS)
    try:
        line = _prepared(backend, letter, seconds)
    except Refused as refused:
        return refused.answer
    except (OSError, SoftTimeLimitExceeded) as error:
        raise _unreachable(error, backend) from error
    return _finished(backend, line, handing_over, seconds)


def _prepared(backend: EmailBackend, letter: Letter, seconds: float) -> Line:
    """A connection over which all of the letter has gone but its last line. Raises Refused and OSError."""
    line = lines.kept(backend)
    if line is not None:
        line.session.allow(seconds)
        try:
            return _told(line, letter)
        except Refused as refused:
            if refused.answer.code != answers.CLOSING:
                raise
        except OSError:
            pass
        # A server may end an idle connection at any time: that says nothing about this letter.
        seconds = line.session.left
    return _told(lines.opened(backend, seconds=seconds), letter)


def _told(line: Line, letter: Letter) -> Line:
    session = line.session
    try:
        if not line.is_clean:
            _require(session.rset(), to="a new message")
        data = letter.data(eight_bit=session.has_extn("8bitmime"))
        _require_room(session.esmtp_features.get("size", ""), len(data))
        _require(session.mail(letter.sender, _options(session, data)), to=f"the sender {letter.sender}")
        _require(session.rcpt(letter.to), about_recipient=True)
        code, text = session.docmd("DATA")
        if code != _START_OF_INPUT:
            raise Refused(_refusal(code, text, to="the message"))
        session.send(_quoted(data))
    except Refused as refused:
        if refused.answer.code == answers.CLOSING:
            line.drop()
        else:
            line.used(is_clean=False)
        raise
    except BaseException:
        line.drop()
        raise
    return line


def _finished(backend: EmailBackend, line: Line, handing_over: Callable[[], Any], seconds: float) -> Answer:
    session = line.session
    try:
        try:
            handing_over()
            session.allow(seconds)
            if session.has_spoken():
                # It has lost patience, and says so, or has hung up.
                return _early(line)
        except (OSError, SoftTimeLimitExceeded) as error:
            raise _unreachable(error, backend) from error
        try:
            session.send(_LAST_LINE)
            faults.point("delivery.handed")
            code, text = session.getreply()
        except (OSError, SoftTimeLimitExceeded) as error:
            raise Uncertain(f"{_name(backend)} broke off while it took the message: {_words(error)}") from error
    except BaseException:
        # With the message half sent, whatever came next would be taken for the rest of it.
        line.drop()
        raise
    line.used(is_clean=code < 300)
    if code == answers.CLOSING:
        line.drop()
    if 300 <= code < 400:
        line.drop()
        raise Uncertain(f"{_name(backend)} answered the message with {code} {answers.words(text)}")
    return answers.read(code, text, to="the message")


def _early(line: Line) -> Answer:
    code, text = line.session.getreply()
    line.drop()
    return _refusal(code, text, to="the message")


def _require(reply: tuple[int, bytes], *, to: str = "", about_recipient: bool = False) -> None:
    """Raises Refused, and SMTPResponseException where it is our settings that it will not have."""
    code, text = reply
    if code in _ABOUT_SETTINGS:
        raise smtplib.SMTPAuthenticationError(code, text)
    if code >= 300:
        raise Refused(answers.read(code, text, to=to, about_recipient=about_recipient))


def _require_room(limit: str, size: int) -> None:
    """What the server says it takes (RFC 1870); 0 for no limit."""
    if limit.isdecimal() and 0 < int(limit) < size:
        said = (
            f"The message has {size:,} bytes, and the mail server takes {int(limit):,}. Send a link to what is large."
        )
        raise Refused(Answer(Attempt.Outcome.PERMANENT, said))


def _refusal(code: int, text: bytes, *, to: str) -> Answer:
    """A yes where only a no can be meant is an answer to something else."""
    if code < 400:
        raise smtplib.SMTPServerDisconnected(f"it answered out of turn: {code} {answers.words(text)}")
    return answers.read(code, text, to=to)


def _options(session: smtplib.SMTP, data: bytes) -> Sequence[str]:
    options = [f"SIZE={len(data)}"] if session.has_extn("size") else []
    return options if data.isascii() else [*options, "BODY=8BITMIME"]


def _flattened(email: mail.EmailMessage) -> bytes:
    return cast(SafeMIMEText, email.message()).as_bytes(linesep="\r\n")


def _quoted(data: bytes) -> bytes:
    """A line that begins with a dot gets another one, as a dot alone is the end (RFC 5321, 4.5.2)."""
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    return (b"." if data.startswith(b".") else b"") + data.replace(b"\r\n.", b"\r\n..")


def _unreachable(error: BaseException, backend: EmailBackend) -> Unreachable:
    """Nobody was handed anything. What is wrong with our settings concerns all messages: they wait for its cure."""
    name = _name(backend)
    if isinstance(error, smtplib.SMTPResponseException):
        what = "the login in EMAIL_URL" if isinstance(error, smtplib.SMTPAuthenticationError) else "the connection"
        said = f"{error.smtp_code} {answers.words(error.smtp_error)}".strip()
        return Unreachable(f"{name} refused {what}: {said}", retry_after=answers.wait(said))
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(
            f"{name} cannot prove who it is: {error.verify_message}. Correct its certificate, or EMAIL_URL."
        )
    if isinstance(error, smtplib.SMTPException) and not isinstance(error, smtplib.SMTPServerDisconnected):
        return Unreachable(f"{name} cannot do what EMAIL_URL asks of it: {error}")
    return Unreachable(f"{name} cannot be reached or broke off: {_words(error)}")


def _name(backend: EmailBackend) -> str:
    return f"The mail server {backend.host}:{backend.port}"


def _words(error: BaseException) -> str:
    if isinstance(error, SoftTimeLimitExceeded):
        return "it took longer than this task may run"
    return answers.words(str(error)) or type(error).__name__
