"""Has Apprise compose a message for one service. Nothing of Apprise is loaded before that."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from notifications.channels import answers
from notifications.channels.shape import Unreachable
from notifications.chat import schemes
from notifications.webhooks.posting import Reply
from routing import masking
from routing.errors import PermanentError

CURE = "Install it where workers run, with pip install 'taskyard[chat]', and restart them."


@dataclass(frozen=True)
class Said:
    """What came of it. ``reply`` is the last answer of the other side, if there was one."""

    is_content: bool
    """Whether Apprise found in the answer that it was taken."""
    words: str
    """What Apprise said to that, without what is secret."""
    reply: Reply | None
    is_whole: bool


def is_installed() -> bool:
    """Without loading it."""
    return find_spec("apprise") is not None and find_spec("requests") is not None


def send(url: str, *, title: str, body: str, handing_over: Callable[[], Any], seconds: float) -> Said:
    """Raises Unreachable, Uncertain and PermanentError, and what ``handing_over`` does; none tells what is secret."""
    if not is_installed():
        raise Unreachable(f"Chat goes by the package apprise, which is not installed. {CURE}")
    from notifications.chat import carrying

    secrets = schemes.secrets(url)
    carrier = carrying.Carrier(handing_over=handing_over, seconds=seconds, secrets=secrets)
    with _listening() as heard, carrying.by(carrier):
        try:
            is_content = _told(_service(url), title=title, body=body)
        except PermanentError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever a service's module may raise, it may quote the URL)
            if carrier.error is None:
                raise masking.told_without(error, secrets) from None
            is_content = False
    if carrier.error is not None and not isinstance(carrier.error, carrying.Answered):
        raise carrier.error
    words = answers.words(masking.without(" ".join(heard), secrets))
    return Said(is_content, words, carrier.reply, carrier.is_whole)


def _service(url: str) -> Any:
    """Raises PermanentError where Apprise does not understand the URL."""
    service = schemes.BY_SCHEME[urlsplit(url).scheme]
    kind = getattr(_module(service.module), service.kind)
    parsed = kind.parse_url(url)
    if not parsed:
        raise _not_understood(service.title)
    apprise = import_module("apprise")
    own = apprise.AppriseAsset(
        app_id="Taskyard",
        app_desc="Taskyard",
        image_url_mask="",
        image_url_logo="",
        storage_mode="memory",
        allow_templates=False,
    )
    try:
        found = kind(**{**parsed, "retry": 0}, asset=own)
    except TypeError:
        # Its words may quote the URL.
        raise _not_understood(service.title) from None
    found.request_rate_per_sec = 0
    if service.refused_mode and getattr(found, "mode", "") == service.refused_mode:
        raise PermanentError(
            f"{service.title} would be logged in to with a password for each message; use a webhook, or a personal "
            "access token with ?mode=token."
        )
    if getattr(found, "template", None):
        # Refused when it was given; Apprise may read a URL otherwise than we do.
        raise PermanentError("The Apprise URL names a template, which would be a file of this worker; leave it out.")
    if len(found) > 1:
        raise PermanentError("The Apprise URL names several rooms or phones; make a chat target for each.")
    return found


def _module(name: str) -> Any:
    from notifications.chat.carrying import Door

    logger = logging.getLogger("apprise")
    if _ears not in logger.handlers:
        # What it tells at lower levels are URLs and payloads.
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        logger.addHandler(_ears)
    module = import_module(f"apprise.plugins.{name}")
    vars(module)["requests"] = Door
    return module


def _told(service: Any, *, title: str, body: str) -> bool:
    longest = service.body_maxlen - (0 if service.title_maxlen > 0 else len(title) + 2)
    if len(body) > longest:
        raise PermanentError(
            f"The text has {len(body):,} characters, and {service.service_name} takes {max(longest, 0):,}. Send a link "
            "to what is long."
        )
    words = {"body": body, "title": title, "notify_type": "info", "body_format": "text", "overflow": "upstream"}
    return bool(service.notify(**words))


def _not_understood(title: str) -> PermanentError:
    return PermanentError(
        f"Apprise does not understand the URL of this target as one of {title}. Give it another one: manage.py chat "
        "move NAME"
    )


class _Ears(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        heard = _heard.get()
        if heard is not None:
            heard.append(record.getMessage())


_ears = _Ears(logging.WARNING)
_heard: ContextVar[list[str] | None] = ContextVar("notifications.chat.heard", default=None)


@contextmanager
def _listening() -> Iterator[list[str]]:
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)
