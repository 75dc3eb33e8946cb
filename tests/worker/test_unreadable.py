"""Messages that a worker cannot read, seen from inside: what comes first, the ledger or the broker."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.ledger.tables import DeadLetter, Message, Outbox
from routing.worker.consumer import Consumer
from routing.worker.request import SETTLEMENTS, Job
from routing.worker.unreadable import KNOWN_WITHIN, give_back
from tests.stored_results import in_flight

pytestmark = pytest.mark.django_db(transaction=True)
Reason = DeadLetter.Reason


class Unreadable:
    content_type, content_encoding = "application/json", "utf-8"
    is_rejected = False

    def __init__(self, message: Message) -> None:
        self.headers = {"id": message.pk, "taskyard_epoch": message.epoch}

    def reject_log_error(self, *_: Any) -> None:
        self.is_rejected = True


def test_the_ledger_has_an_unreadable_task_published_again_before_the_broker_lets_go_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = in_flight("reporting.probe_add")
    message: Any = Unreadable(task)
    jobs: list[Job] = []
    monkeypatch.setattr(SETTLEMENTS, "put", jobs.append)
    receiver = object.__new__(Consumer)
    receiver.connection_errors = ()

    receiver.on_decode_error(message, ValueError("no JSON"))
    (job,) = jobs
    job.run()

    assert Outbox.objects.get().epoch == Message.objects.get().epoch == 2
    assert not message.is_rejected
    assert job.then is not None
    job.then(None)
    assert message.is_rejected


def test_a_task_that_was_enqueued_long_ago_waits_as_long_as_any_for_a_worker_that_knows_it() -> None:
    task = in_flight("reporting.probe_add")
    Message.objects.update(created_at=timezone.now() - timedelta(days=1))

    give_back(task.pk, 1, "unknown", reason=Reason.UNKNOWN)

    message = Message.objects.get()
    assert (message.epoch, message.error) == (2, "unknown")
    first = message.unknown_since
    assert first is not None
    give_back(task.pk, 2, "unknown", reason=Reason.UNKNOWN)
    assert Message.objects.get().unknown_since == first, "the time counts from the first of them"


def test_a_task_that_no_worker_has_known_for_too_long_has_failed() -> None:
    task = in_flight("reporting.probe_add")
    Message.objects.update(unknown_since=timezone.now() - KNOWN_WITHIN - timedelta(seconds=1))

    give_back(task.pk, 1, "unknown", reason=Reason.UNKNOWN)

    assert not Message.objects.exists()
    assert TaskResult.objects.get(task_id=task.pk).status == "FAILURE"
    assert DeadLetter.objects.get(task_id=task.pk).reason == "unknown"
