"""Has relays and beats watch the pipeline, and complains of alerts that nobody would read."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

from celery.signals import beat_init
from django.conf import settings
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning

UNREAD = ("filebased", "console", "dummy", "locmem")
"""Django's ways that bring mail to nobody."""


@register()
def check_alerts(**_: Any) -> list[CheckMessage]:
    return list(_unread())


def _unread() -> Iterator[CheckMessage]:
    if settings.TASKYARD_ALERTS_EMAIL and settings.EMAIL_BACKEND.split(".")[-2] in UNREAD:
        yield CheckWarning(
            "TASKYARD_ALERTS_EMAIL names who is told what is wrong, but EMAIL_URL names no mail server.",
            hint='Set EMAIL_URL, or TASKYARD_ALERTS_WEBHOOK. See docs/operations.md, "Alerts".',
            id="routing.W040",
        )


def start(who: str, *, stop: threading.Event) -> threading.Thread | None:
    """Watch in a thread, until ``stop`` is set; None where nobody is to be told."""
    if not (settings.TASKYARD_ALERTS_EMAIL or settings.TASKYARD_ALERTS_WEBHOOK):
        return None
    # Not above: a start without it is cheaper.
    from routing.console.alerting.watch import Watch

    watch = Watch(who=who, stop=stop)
    watch.start()
    return watch


@beat_init.connect
def _watch(**_: Any) -> None:
    start(f"beat@{socket.gethostname()}", stop=threading.Event())
