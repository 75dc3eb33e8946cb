"""Messages that a worker cannot read, seen from inside: what comes first, the ledger or the broker."""

from typing import Any

import pytest

from routing.ledger.tables import Message, Outbox
from routing.worker.consumer import Consumer
from routing.worker.request import SETTLEMENTS, Job
from tests.stored_results import in_flight

pytestmark = pytest.mark.django_db(transaction=True)


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
