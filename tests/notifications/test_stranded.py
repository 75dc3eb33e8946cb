"""A delivery whose task ended without it: its end and the reason are known, and nothing is ended that still moves."""

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Thread

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_celery_results.models import TaskResult
from pytest_django import DjangoAssertNumQueries

from notifications import deciding, services, stranded
from notifications.delivering import UNKNOWN
from notifications.delivery_words import answer, rows_of
from notifications.tables import Attempt, Delivery
from routing import faults
from routing.ledger.replay import discard, replay
from routing.ledger.tables import DeadLetter, Message
from routing.worker import cancelling
from tests.inline import deliver, drain, worker
from tests.notifications import delivery_specimens as specimens
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db
State = Delivery.State


@pytest.fixture(autouse=True)
def owner() -> Iterator[None]:
    with worker():
        yield


def sweep() -> int:
    """Some minutes later."""
    for row in TaskResult.objects.all():
        TaskResult.objects.filter(pk=row.pk).update(date_done=row.date_done - 2 * stranded.GRACE)
    return stranded.end_all(since=timezone.now() - timedelta(days=1))


def cancelled() -> Delivery:
    """As after ``manage.py cancel`` of its task."""
    row = specimens.delivery()
    assert cancelling.cancel(row.task_id, cancelling.Order(by="ada")).is_cancelled
    return row


def poisoned() -> Delivery:
    row = specimens.delivery()
    Message.objects.filter(pk=row.task_id).update(runs=50)
    deliver(Message.objects.get(pk=row.task_id))
    assert DeadLetter.objects.get(task_id=row.task_id).reason == "poison"
    return row


def expired() -> Delivery:
    row = specimens.delivery()
    Message.objects.filter(pk=row.task_id).update(expires_at=timezone.now() - timedelta(hours=1))
    deliver(Message.objects.get(pk=row.task_id))
    return row


def discarded() -> Delivery:
    row = poisoned()
    discard(list(DeadLetter.objects.values_list("pk", flat=True)), by="ada")
    return row


def replayed() -> str:
    """The id of the new task."""
    letter = DeadLetter.objects.get(replayed_as="")
    replay([letter.pk], by="ada")
    letter.refresh_from_db()
    return letter.replayed_as


def state(row: Delivery) -> tuple[str, str]:
    row.refresh_from_db()
    return row.state, row.reason


@pytest.mark.parametrize(
    ("made", "reason", "words"),
    [
        (cancelled, "task_cancelled", "Not sent: its task was cancelled."),
        (expired, "task_expired", "Not sent: its task was too late, and expired."),
        (poisoned, "task_died", "Not sent: its task failed before it had sent it"),
        (discarded, "task_died", "see the dead letters. To have it sent, send it again."),
    ],
)
def test_its_end_and_the_reason_are_known(made: Callable[[], Delivery], reason: str, words: str) -> None:
    row = made()
    assert state(row) == (State.PENDING, "")

    assert sweep() == 1

    assert state(row) == (State.FAILED, reason)
    assert row.finished_at is not None
    assert words in answer(rows_of([row])[row.pk], None).sentence
    assert sweep() == 0


def test_one_whose_server_had_it_when_its_task_ended_is_asked_about() -> None:
    row = cancelled()
    Delivery.objects.filter(pk=row.pk).update(state=State.SENDING, attempts_made=1)
    Attempt.objects.create(delivery=row, number=1, host="smtp.example.org:25", started_at=timezone.now())

    assert sweep() == 1

    assert state(row) == (State.SENDING, UNKNOWN)
    assert row.attempts.get().outcome == Attempt.Outcome.UNKNOWN
    assert list(deciding.undecided()) == [row]


@pytest.mark.parametrize("made", [cancelled, poisoned])
def test_one_that_somebody_sends_again_is_left_to_its_new_task(
    made: Callable[[], Delivery], mail_server: MailServer
) -> None:
    row = made()
    deciding.resend(Delivery.objects.select_related("notification__template").get(pk=row.pk), by="ada")

    assert sweep() == 0
    drain()

    assert state(row) == (State.SENT, "")
    assert len(mail_server.deliveries) == 1


def test_one_whose_task_is_replayed_is_left_to_the_replay_and_to_its_replay(mail_server: MailServer) -> None:
    row = poisoned()
    second = replayed()
    assert sweep() == 0
    Message.objects.filter(pk=second).update(runs=50)
    deliver(Message.objects.get(pk=second))
    replayed()

    assert sweep() == 0
    drain()

    assert state(row) == (State.SENT, "")


def test_one_whose_replay_ended_without_it_too_has_failed() -> None:
    row = poisoned()
    cancelling.cancel(replayed(), cancelling.Order(by="ada"))

    assert sweep() == 1

    assert state(row)[0] == State.FAILED


def test_a_replay_of_one_that_was_ended_sends_it(mail_server: MailServer) -> None:
    """Also the one that comes right after the look: it waits for the dead letter, or finds the delivery failed."""
    row = poisoned()
    sweep()

    replayed()
    drain()

    assert state(row) == (State.SENT, "")
    assert len(mail_server.deliveries) == 1


@pytest.mark.django_db(transaction=True)
def test_a_replay_in_the_very_moment_of_the_look_waits_for_it_and_sends(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = poisoned()

    def replay_it() -> None:
        replayed()
        connection.close()

    replays = Thread(target=replay_it)

    def looked(name: str) -> None:
        if name == "stranded.looked":
            replays.start()
            replays.join(timeout=0.3)
            assert replays.is_alive(), "it waits for the dead letter"

    with monkeypatch.context() as patch:
        patch.setattr(faults, "point", looked)
        assert sweep() == 1
    replays.join()
    drain()

    assert state(row) == (State.SENT, "")
    assert len(mail_server.deliveries) == 1


def test_a_death_right_before_its_commit_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    row = poisoned()

    def dies(name: str) -> None:
        if name == "stranded.looked":
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(faults, "point", dies)
        with pytest.raises(SystemExit):
            sweep()

    assert state(row) == (State.PENDING, "")
    assert sweep() == 1


def test_what_moves_or_has_ended_well_is_left() -> None:
    waiting, sent, failed = specimens.greylisted(), specimens.sent(), specimens.refused()
    stored = services.notify(["a@example.org", "b@example.org"], subject="s", text="t")
    before = {row.pk: state(row) for row in (waiting, sent, failed)}

    assert sweep() == 0

    assert {row.pk: state(row) for row in (waiting, sent, failed)} == before
    assert set(stored.deliveries.values_list("state", flat=True)) == {State.PENDING}


def test_one_of_a_notification_that_is_not_complete_is_ended_alone() -> None:
    row = cancelled()
    notification = row.notification
    type(notification).objects.filter(pk=notification.pk).update(is_complete=False)

    assert sweep() == 1

    assert state(row) == (State.FAILED, "task_cancelled")


def test_a_body_that_still_runs_for_nothing_has_its_time_to_say_so() -> None:
    row = cancelled()

    assert stranded.end_all(since=timezone.now() - timedelta(days=1)) == 0

    assert state(row) == (State.PENDING, "")


def test_many_cost_a_few_statements_for_each_batch(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(stranded, "BATCH", 4)
    stored = services.notify([f"n{number}@example.org" for number in range(10)], subject="s", text="t")
    call_command("cancel", *stored.deliveries.values_list("task_id", flat=True), stdout=io.StringIO())
    TaskResult.objects.update(date_done=timezone.now() - 2 * stranded.GRACE)

    with django_assert_max_num_queries(45):
        assert stranded.end_all(since=timezone.now() - timedelta(days=1)) == 10

    assert set(stored.deliveries.values_list("state", "reason")) == {(State.FAILED, "task_cancelled")}
