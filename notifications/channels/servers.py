"""Which of Django's e-mail backends carries a lane's mail: EMAIL_URL, or EMAIL_URL_<LANE> where that is set."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend

SMTP = "django.core.mail.backends.smtp.EmailBackend"
PROVIDERS = "anymail.backends."
"""Where django-anymail has its backends, one module for each provider."""

_PLACES = {
    "django.core.mail.backends.filebased.EmailBackend": "files",
    "django.core.mail.backends.console.EmailBackend": "console",
    "django.core.mail.backends.locmem.EmailBackend": "memory",
    "django.core.mail.backends.dummy.EmailBackend": "nowhere",
}


def variable(lane: str) -> str:
    """The name of the variable that says it, for whoever is to correct it."""
    return f"EMAIL_URL_{lane.upper()}" if lane in settings.TASKYARD_EMAIL_LANES else "EMAIL_URL"


def backend(lane: str) -> BaseEmailBackend:
    """A new one, that has opened nothing. Raises ImproperlyConfigured."""
    found: BaseEmailBackend = mail.get_connection(**_limited(_options(lane)))
    return found


def host(lane: str) -> str:
    """``smtp.example.org:587``, the provider's name, or what takes a server's place."""
    options = _options(lane)
    path = str(options.get("backend") or settings.EMAIL_BACKEND)
    if path == SMTP:
        name, port = options.get("host", settings.EMAIL_HOST), options.get("port", settings.EMAIL_PORT)
        return f"{name}:{port}"
    if path.startswith(PROVIDERS):
        return path.removeprefix(PROVIDERS).partition(".")[0]
    return _PLACES.get(path, path)


def is_provider(lane: str) -> bool:
    """Whether django-anymail speaks to whom carries it."""
    return str(_options(lane).get("backend") or settings.EMAIL_BACKEND).startswith(PROVIDERS)


def _options(lane: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = settings.TASKYARD_EMAIL_LANES.get(lane, {})
    return found


def _limited(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """django-anymail has a time limit of its own, which EMAIL_TIMEOUT does not reach."""
    path = str(options.get("backend") or settings.EMAIL_BACKEND)
    return {"timeout": settings.EMAIL_TIMEOUT, **options} if path.startswith(PROVIDERS) else options
