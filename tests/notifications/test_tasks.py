"""``notifications.send_email``, run by Celery."""

import json
from collections.abc import Callable, Iterator

import pytest
from celery import states
from django.core import mail
from django_celery_results.models import TaskResult

from notifications import services, tasks
from notifications.email import Email, InvalidEmail
from project import celery_app
from routing.errors import PermanentError, TransientError
from routing.ledger.tables import Message
from tests.notifications.mail_server import MailServer, mail_server
from tests.waiting import until
from tests.workers import Process

__all__ = ["mail_server"]

ANN, BEN = "ann@example.org", "ben@example.org"
LETTER = Email(subject="Your invoice", text="It is due.\n", to=[ANN, BEN])


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


def test_an_eager_task_sends_where_it_is_called(eager: None) -> None:
    result = services.send(LETTER)

    assert [message.to for message in mail.outbox] == [[ANN, BEN]]
    assert result.get() == {"accepted": [ANN, BEN], "refused": {}, "message_id": f"<{result.id}@localhost>"}


def test_a_retry_leaves_out_those_who_have_got_it(eager: None, mail_server: MailServer) -> None:
    mail_server.once = {ANN: "450 4.2.0 Greylisted"}

    outcome = services.send(LETTER).get()

    assert [delivery.recipients for delivery in mail_server.deliveries] == [[BEN], [ANN]]
    first, second = (delivery.message for delivery in mail_server.deliveries)
    assert first["To"] == second["To"] == f"{ANN}, {BEN}"
    assert first["Message-ID"] == second["Message-ID"] == outcome["message_id"]
    assert outcome["accepted"] == [BEN, ANN]


def test_those_refused_in_an_earlier_run_are_in_the_last_outcome(eager: None, mail_server: MailServer) -> None:
    mail_server.once = {ANN: "450 4.2.0 Greylisted"}
    mail_server.to_recipient = {BEN: "550 5.1.1 No such user"}

    outcome = services.send(LETTER).get()

    assert (outcome["accepted"], outcome["refused"]) == ([ANN], {BEN: "550 5.1.1 No such user"})


def test_retries_end_after_three(eager: None, mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "450 4.2.0 Mailbox busy"}

    with pytest.raises(TransientError, match=f"refused {ANN}: 450 4.2.0 Mailbox busy. It was accepted for {BEN}"):
        services.send(LETTER).get()

    assert len(mail_server.deliveries) == 1


def test_a_wrong_email_is_refused_when_it_is_enqueued() -> None:
    with pytest.raises(InvalidEmail, match="to names no recipient"):
        services.send(Email(subject="Hello", text="Hi", to=[]))


def test_a_wrong_lane_is_refused_when_it_is_enqueued() -> None:
    with pytest.raises(InvalidEmail, match="'express' does not exist; use one of default, urgent, bulk"):
        services.send(LETTER, lane="express")


def test_a_wrong_email_enqueued_in_another_way_fails_for_good(eager: None) -> None:
    with pytest.raises(PermanentError, match="write it in one line"):
        tasks.send_email.delay(subject="Hello\nBcc: all@example.org", text="Hi", to=[ANN]).get()


@pytest.mark.pipeline
@pytest.mark.broker
def test_a_worker_delivers_and_records_to_whom(
    server_of_workers: MailServer, start_worker: Callable[..., Process]
) -> None:
    start_worker("notifications.urgent")

    task = services.send(LETTER, lane="urgent")

    row = _in_state(task.id, states.SUCCESS)
    assert json.loads(row.result)["accepted"] == [ANN, BEN]
    (delivery,) = server_of_workers.deliveries
    assert delivery.message["Message-ID"] == f"<{task.id}@localhost>"


@pytest.mark.pipeline
@pytest.mark.broker
def test_a_worker_fails_at_once_what_is_refused_for_good(
    server_of_workers: MailServer, start_worker: Callable[..., Process]
) -> None:
    server_of_workers.to_message = "550 5.7.1 Looks like spam"
    start_worker("notifications")

    row = _in_state(services.send(LETTER).id, states.FAILURE)

    assert json.loads(row.result)["exc_type"] == "PermanentError"
    assert "refused the message: 550 5.7.1 Looks like spam" in row.result


@pytest.mark.pipeline
@pytest.mark.broker
def test_a_worker_keeps_for_later_what_is_refused_for_now(
    server_of_workers: MailServer, start_worker: Callable[..., Process]
) -> None:
    server_of_workers.to_recipient = {ANN: "450 4.2.0 Greylisted"}
    start_worker("notifications")

    task_id = services.send(LETTER).id

    row = until(lambda: Message.objects.filter(pk=task_id, state=states.RETRY).first(), what="state RETRY")
    assert row
    assert "Deferred" in str(row.error)
    assert f"refused {ANN}: 450 4.2.0 Greylisted. It was accepted for {BEN}." in str(row.error)


def _in_state(task_id: str, state: str) -> TaskResult:
    row = until(lambda: TaskResult.objects.filter(task_id=task_id, status=state).first(), what=f"state {state}")
    assert row is not None
    return row
