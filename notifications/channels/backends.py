"""Hands one e-mail to any other of Django's backends: a file, the console, memory, or one of the project's own."""

import smtplib
from collections.abc import Callable
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend

from notifications.channels import answers
from notifications.channels.shape import Answer, Uncertain, Unreachable
from notifications.tables import Attempt

_BREAKING_OFF = (
    smtplib.SMTPException,
    TimeoutError,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
    SoftTimeLimitExceeded,
)


def hand_over(
    backend: BaseEmailBackend, email: mail.EmailMessage, *, host: str, handing_over: Callable[[], Any]
) -> Answer:
    """Raises Unreachable and Uncertain."""
    handing_over()
    try:
        backend.send_messages([email])
    except smtplib.SMTPRecipientsRefused as error:
        ((code, text),) = list(error.recipients.values())[:1]
        return answers.read(code, text, about_recipient=True)
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        return answers.read(error.smtp_code, error.smtp_error, to="the message")
    except (smtplib.SMTPConnectError, smtplib.SMTPHeloError, smtplib.SMTPAuthenticationError) as error:
        raise Unreachable(f"{host} refused us: {error.smtp_code} {answers.words(error.smtp_error)}") from error
    except _BREAKING_OFF as error:
        raise Uncertain(f"{host} broke off while it took the message: {answers.words(str(error))}") from error
    except OSError as error:
        # A disk that is full, a folder that is gone, a server that is not there.
        raise Unreachable(f"{host} cannot be written to: {answers.words(str(error))}") from error
    return Answer(Attempt.Outcome.ACCEPTED)
