"""Bounces and complaints by way of django-anymail; and without it, nothing is loaded."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from notifications.consent.tables import Feedback, Suppression
from tests.notifications.consenting import ANN, sent, state
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db
signals = pytest.importorskip("anymail.signals")


def tell(event_type: str, **words: Any) -> None:
    from notifications.consent import tracking

    assert tracking.connect()
    words = {"recipient": ANN, "event_id": "e-1", "timestamp": datetime(2026, 11, 27, tzinfo=UTC), **words}
    event = signals.AnymailTrackingEvent(event_type=event_type, **words)
    signals.tracking.send(sender=None, event=event, esp_name="Postmark")


@pytest.mark.parametrize(
    ("event_type", "words", "reasons"),
    [
        ("bounced", {"reject_reason": "bounced"}, ["bounced"]),
        ("bounced", {"reject_reason": "bounced", "mta_response": "550 5.7.1 Spam"}, []),
        ("bounced", {"reject_reason": "blocked"}, []),
        ("deferred", {}, []),
        ("complained", {"reject_reason": "spam"}, ["complained"]),
        ("rejected", {"reject_reason": "invalid"}, ["bounced"]),
        ("delivered", {}, []),
        ("opened", {}, []),
    ],
)
def test_what_a_provider_tells_has_the_effect_of_what_is_reported(
    event_type: str, words: dict[str, str], reasons: list[str]
) -> None:
    tell(event_type, **words)

    assert list(Suppression.objects.values_list("reason", flat=True)) == reasons


def test_a_providers_event_told_twice_is_one(mail_server: MailServer) -> None:
    delivery = sent(mail_server)

    for _ in range(2):
        tell("bounced", reject_reason="bounced", metadata={"message_id": delivery.message_id})

    assert (state(delivery), Feedback.objects.get().source) == ("bounced", "anymail, Postmark")


def test_a_worker_loads_neither_anymail_nor_the_pages() -> None:
    script = "import sys, django; django.setup(); import notifications.tasks; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", f"import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'project.settings'; {script}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()

    costly = ("anymail", "ninja", "pydantic", "unfold.admin", "project.urls", "notifications.urls")
    assert not [name for name in loaded if name in (*costly, "notifications.consent.endpoint", "notifications.admin")]
