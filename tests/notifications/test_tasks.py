"""``notify`` and ``notifications.send_email`` in an application's tests, eager or drained, and in real workers."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import states
from django.core import mail
from django.db import transaction
from django_celery_results.models import TaskResult

import notifications
from notifications import services, tasks
from notifications.problems import InvalidNotification
from notifications.tables import Delivery, Notification
from project import celery_app
from routing import testing
from routing.errors import PermanentError
from routing.ledger.tables import Message
from tests.notifications.mail_server import MailServer, mail_server
from tests.waiting import until
from tests.workers import StartWorker

__all__ = ["mail_server"]

ANN, BEN = "ann@example.org", "ben@example.org"
LETTER: dict[str, Any] = {"subject": "Your invoice", "text": "It is due.\n", "to": [ANN, BEN]}
State = Delivery.State


@pytest.fixture
def eager() -> Iterator[None]:
    """As in an application's unit tests: tasks run where they are called."""
    celery_app.conf.task_always_eager = True
    yield
    celery_app.conf.task_always_eager = False


@pytest.fixture
def server_of_workers(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> MailServer:
    """The mail server, for worker processes that start after it."""
    monkeypatch.setenv("EMAIL_URL", f"smtp://127.0.0.1:{mail_server.port}")
    return mail_server


# --- In an application's tests ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_eager_call_sends_where_it_is_called(eager: None) -> None:
    notification = notifications.notify([ANN, BEN], subject="Your invoice", text="It is due.\n")

    assert [message.to for message in mail.outbox] == [[ANN], [BEN]]
    assert set(notification.deliveries.values_list("state", flat=True)) == {State.SENT}


@pytest.mark.django_db
def test_an_eager_task_sends_where_it_is_called(eager: None) -> None:
    result = services.send_email(**LETTER)

    assert [message.to for message in mail.outbox] == [[ANN], [BEN]]
    notification = Notification.objects.get()
    assert result.get() == {"notification": str(notification.pk), "deliveries": 2}
    assert notification.key == f"task:{result.id}"


@pytest.mark.django_db
def test_an_eager_call_does_not_wait_for_a_server_that_refuses_for_now(eager: None, mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "450 4.2.0 Mailbox busy"}

    notification = notifications.notify([ANN, BEN], subject="Your invoice", text="It is due.\n")

    states_of = notification.deliveries.order_by("position").values_list("state", "answer")
    assert list(states_of) == [(State.PENDING, "450 4.2.0 Mailbox busy"), (State.SENT, "250 taken")]


@pytest.mark.django_db
def test_a_drained_call_sends_when_the_test_says_so() -> None:
    notifications.notify(ANN, subject="Your invoice", text="It is due.\n", lane="urgent")
    testing.assert_enqueued("notifications.deliver", queue="notifications.urgent")
    assert mail.outbox == []

    testing.drain()

    (message,) = mail.outbox
    assert (message.to, message.subject) == ([ANN], "Your invoice")


@pytest.mark.django_db
def test_a_drained_delivery_comes_back_when_it_is_due(mail_server: MailServer) -> None:
    mail_server.once = {ANN: "450 4.7.1 Greylisted, try again in 300 seconds"}
    notifications.notify(ANN, subject="Your invoice", text="It is due.\n")

    testing.drain()
    assert mail_server.deliveries == []
    testing.drain(at=timedelta(seconds=301))

    assert len(mail_server.deliveries) == 1


@pytest.mark.django_db
def test_nothing_is_sent_of_what_is_rolled_back() -> None:
    with transaction.atomic():
        notifications.notify(ANN, subject="Your invoice", text="It is due.\n")
        transaction.set_rollback(True)

    testing.drain()
    assert mail.outbox == []
    assert not Notification.objects.exists()


@pytest.mark.django_db
def test_the_task_sends_to_each_once_however_often_it_is_run() -> None:
    task = services.send_email(**LETTER)
    testing.drain()

    # As the copy of a message whose first run died right after its commit.
    services.notify(LETTER["to"], subject=LETTER["subject"], text=LETTER["text"], key=f"task:{task.id}")
    testing.drain()

    assert [message.to for message in mail.outbox] == [[ANN], [BEN]]


@pytest.mark.django_db
def test_what_the_task_sends_stays_in_its_lane() -> None:
    services.send_email(**LETTER, lane="urgent")

    testing.drain(runs=3)

    assert Notification.objects.get().lane == "urgent"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": []}, "to names no recipient"),
        ({"to": ANN}, "to is a text; give a list"),
        ({"lane": "express"}, "'express' does not exist; use one of default, urgent, bulk"),
        ({"subject": "Hello\nBcc: all@example.org"}, "write it in one line"),
    ],
)
def test_a_wrong_email_is_refused_when_it_is_enqueued(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidNotification, match=words):
        services.send_email(**{**LETTER, **changes})


@pytest.mark.django_db
def test_a_wrong_email_enqueued_in_another_way_fails_for_good(eager: None) -> None:
    with pytest.raises(PermanentError, match="write it in one line"):
        tasks.send_email.delay(subject="Hello\nBcc: all@example.org", text="Hi", to=[ANN]).get()

    assert mail.outbox == []


# --- In real workers --------------------------------------------------------------------------------------------------


@pytest.mark.pipeline
@pytest.mark.broker
def test_a_worker_writes_to_each_recipient_alone(server_of_workers: MailServer, start_worker: StartWorker) -> None:
    start_worker("notifications.urgent")

    task = services.send_email(**LETTER, lane="urgent")

    row = _in_state(task.id, states.SUCCESS)
    notification = Notification.objects.get()
    assert json.loads(row.result) == {"notification": str(notification.pk), "deliveries": 2}
    until(lambda: notification.deliveries.filter(state=State.SENT).count() == 2, what="both deliveries")
    assert sorted(taken.recipients for taken in server_of_workers.deliveries) == [[ANN], [BEN]]
    assert {taken.message["Message-ID"] for taken in server_of_workers.deliveries} == {
        f"<{notification.pk.hex}.{position}@localhost>" for position in (0, 1)
    }


@pytest.mark.pipeline
@pytest.mark.broker
def test_a_worker_fails_at_once_what_is_refused_for_good_and_keeps_for_later_what_is_not(
    server_of_workers: MailServer, start_worker: StartWorker
) -> None:
    server_of_workers.to_recipient = {ANN: "550 5.1.1 No such user", BEN: "450 4.2.0 Greylisted"}
    start_worker("notifications")

    services.send_email(**LETTER)

    ann = until(lambda: Delivery.objects.filter(address_key=ANN, state=State.FAILED).first(), what="Ann's failure")
    failed = _in_state(ann.task_id, states.FAILURE)
    assert json.loads(failed.result)["exc_type"] == "Refused"
    assert "ann@example.org: 550 5.1.1 No such user" in failed.result
    ben = Delivery.objects.get(address_key=BEN)
    waiting = until(lambda: Message.objects.filter(pk=ben.task_id, state=states.RETRY).first(), what="state RETRY")
    assert waiting.error == "TransientError: 450 4.2.0 Greylisted"
    assert Delivery.objects.get(pk=ben.pk).state == State.PENDING


def _in_state(task_id: str, state: str) -> TaskResult:
    row = until(lambda: TaskResult.objects.filter(task_id=task_id, status=state).first(), what=f"state {state}")
    assert row is not None
    return row
