"""``manage.py redrive``: what waits in a queue is published once more."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from routing.ledger.tables import Message, Outbox
from tests import probe as typed_probe

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = pytest.mark.django_db(transaction=True)


def redrive(*arguments: str) -> str:
    output = io.StringIO()
    call_command("redrive", *arguments, stdout=output)
    return output.getvalue().strip()


@pytest.fixture
def published() -> None:
    """Two tasks that RabbitMQ has confirmed, and one that a relay is about to publish."""
    probe.add.delay(1, 2)
    probe.add.apply_async((3, 4), queue="notifications.bulk")
    Outbox.objects.all().delete()
    probe.add.delay(5, 6)


@pytest.mark.usefixtures("published")
def test_what_waits_in_a_queue_is_published_again_under_a_new_epoch() -> None:
    assert redrive("reporting") == "1 task of reporting is published again."

    again = Message.objects.get(epoch=2)
    assert again.queue == "reporting"
    assert Outbox.objects.filter(message_id=again.pk, epoch=2).count() == 1
    assert Outbox.objects.count() == 2


@pytest.mark.usefixtures("published")
def test_all_queues_at_once_and_once_only() -> None:
    assert redrive("--all") == "2 tasks of all queues are published again."
    assert redrive("--all") == "0 tasks of all queues are published again."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reportng"], "No domain declares the queue 'reportng'. Did you mean 'reporting'?"),
        ([], "Which queues?"),
        (["reporting", "--all"], "Either --all, or of these: notifications, "),
    ],
)
def test_a_wrong_call_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words.replace("?", r"\?")):
        redrive(*arguments)
