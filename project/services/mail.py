"""The mail server that EMAIL_URL names: reachable, and willing to take mail from us."""

import smtplib
import socket
import ssl

from django.conf import settings
from django.core.mail import get_connection

from project.services.errors import ServiceError

SMTP = "django.core.mail.backends.smtp.EmailBackend"
SECONDS = 5


def check() -> None:
    """Raises ServiceError. Says nothing of backends that need no server."""
    if settings.EMAIL_BACKEND != SMTP:
        return
    connection = get_connection(timeout=SECONDS)
    try:
        connection.open()
        connection.close()
    except (OSError, smtplib.SMTPException) as error:
        raise ServiceError(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    where = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"The mail server {where} refuses the user name or password in EMAIL_URL. Correct them."
    if isinstance(error, socket.gaierror):
        return f"The mail server's host {settings.EMAIL_HOST} is not known. Correct EMAIL_URL."
    if isinstance(error, ssl.SSLError):
        return f"The mail server {where} does not speak TLS as EMAIL_URL has it. Use smtp://, smtp+tls:// or smtps://."
    if isinstance(error, TimeoutError):
        return f"The mail server {where} does not answer. Correct EMAIL_URL, or see what keeps us from it."
    if isinstance(error, smtplib.SMTPException):
        return f"The mail server {where} cannot be used: {_words(error)} Correct EMAIL_URL."
    return f"The mail server cannot be reached at {where}. Start it, or correct EMAIL_URL."


def _words(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}."
    return f"{error}."
