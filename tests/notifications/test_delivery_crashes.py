"""Real workers die, freeze and lose their database at each step of a delivery: what the mail server got of it."""

from pathlib import Path

import pytest
from django.db import connection
from django_celery_results.models import TaskResult

from notifications import services
from notifications.delivering import UNKNOWN
from notifications.tables import Attempt, Delivery
from routing.ledger import audit, replay
from routing.ledger.tables import DeadLetter, Message
from tests.attacks.test_doubled_messages import Doubler
from tests.notifications.mail_server import MailServer, mail_server
from tests.services import Postgresql
from tests.waiting import until
from tests.workers import Process, StartWorker

__all__ = ["mail_server"]

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]
State, Outcome = Delivery.State, Attempt.Outcome
ANN = "ann@example.org"
REPEATS, ASKS = "account", "news"
IN_THE_WINDOW = ["delivery.marked", "delivery.handed", "delivery.taken", "delivery.written"]


@pytest.fixture
def reached(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> MailServer:
    """The mail server, for worker processes that start after it."""
    monkeypatch.setenv("EMAIL_URL", f"smtp://127.0.0.1:{mail_server.port}")
    return mail_server


def letter(category: str) -> Delivery:
    notification = services.notify(ANN, subject="Your invoice", text="It is due.\n", category=category)
    return notification.deliveries.get()


def ended(delivery: Delivery, *, status: str = "SUCCESS") -> Delivery:
    """As it is once its task has come to its outcome."""
    outcome = TaskResult.objects.filter(task_id=delivery.task_id, status=status)
    until(outcome.exists, seconds=120, what=f"the outcome of {delivery.task_id}")
    return Delivery.objects.get(pk=delivery.pk)


def outcomes(delivery: Delivery) -> list[str]:
    return list(delivery.attempts.order_by("number").values_list("outcome", flat=True))


def ids(server: MailServer) -> list[str]:
    return [taken.message["Message-ID"] for taken in server.deliveries]


@pytest.mark.parametrize(
    ("point", "copies", "attempts"),
    [
        ("delivery.ready", 1, [Outcome.ACCEPTED]),
        ("delivery.marked", 1, [Outcome.UNKNOWN, Outcome.ACCEPTED]),
        ("delivery.handed", 2, [Outcome.UNKNOWN, Outcome.ACCEPTED]),
        ("delivery.taken", 2, [Outcome.UNKNOWN, Outcome.ACCEPTED]),
        ("delivery.written", 2, [Outcome.UNKNOWN, Outcome.ACCEPTED]),
        # What was written, and the task's outcome, are one commit, and it is over.
        ("run.settled", 1, [Outcome.ACCEPTED]),
    ],
)
def test_who_dies_on_the_way_loses_nothing_and_repeats_only_what_lay_in_the_window(
    reached: MailServer, start_worker: StartWorker, tmp_path: Path, point: str, copies: int, attempts: list[str]
) -> None:
    flag = tmp_path / "died"
    delivery = letter(REPEATS)

    start_worker("notifications", fault=point, TASKYARD_FAULT_FLAG=str(flag))

    delivery = ended(delivery)
    assert flag.exists()
    assert (delivery.state, delivery.attempts_made) == (State.SENT, len(attempts))
    assert outcomes(delivery) == attempts
    assert ids(reached) == [delivery.message_id] * copies
    assert audit.audit().balances


@pytest.mark.parametrize("point", IN_THE_WINDOW)
def test_who_dies_in_the_window_asks_where_the_category_says_so(
    reached: MailServer, start_worker: StartWorker, tmp_path: Path, point: str
) -> None:
    flag = tmp_path / "died"
    delivery = letter(ASKS)

    start_worker("notifications", fault=point, TASKYARD_FAULT_FLAG=str(flag))

    delivery = ended(delivery)
    assert flag.exists()
    assert (delivery.state, delivery.reason) == (State.SENDING, UNKNOWN)
    assert outcomes(delivery) == [Outcome.UNKNOWN]
    assert len(reached.deliveries) == (0 if point == "delivery.marked" else 1)
    assert audit.audit().balances


@pytest.mark.parametrize(("category", "copies"), [(REPEATS, 2), (ASKS, 1)])
def test_a_worker_that_was_frozen_in_the_window_and_thaws_sends_nothing_more(
    reached: MailServer, start_worker: StartWorker, tmp_path: Path, category: str, copies: int
) -> None:
    """It was declared dead, and another one has decided. It starts anew, or its child is quick to say what it saw."""
    gate = tmp_path / "gate"
    gate.touch()
    delivery = letter(category)
    variables = {"TASKYARD_FAULT_CALL": "tests.probe.stand_still", "PROBE_GATE": str(gate)}
    first = start_worker("notifications", fault="delivery.handed", **variables)
    until(gate.with_suffix(".reached").exists, what="the window")
    start_worker("notifications", "--hostname=second@%h")

    with first.frozen():
        decided = ended(delivery)
        assert decided.state == (State.SENT if category == REPEATS else State.SENDING)
        gate.unlink()

    until(lambda: is_told(delivery) or has_begun_anew(first), seconds=60, what="the end of the thawed one's run")
    *early, last = outcomes(delivery)
    assert len(early) == copies - 1
    assert set(early) <= {Outcome.UNKNOWN, Outcome.ACCEPTED}
    knows = last == Outcome.ACCEPTED
    assert knows or category == ASKS
    assert Delivery.objects.get(pk=delivery.pk).state == (State.SENT if knows else State.SENDING)
    assert ids(reached) == [delivery.message_id] * copies
    assert audit.audit().balances


def is_told(delivery: Delivery) -> bool:
    return not delivery.attempts.filter(ended_at=None).exists()


def has_begun_anew(worker: Process) -> bool:
    return worker.log.read_text(errors="replace").count(" ready.") > 1


@pytest.mark.parametrize("point", ["delivery.ready", "delivery.marked", "delivery.taken"])
def test_a_database_that_is_away_costs_neither_copy_nor_outcome(
    reached: MailServer,
    start_worker: StartWorker,
    database_server: Postgresql | None,
    tmp_path: Path,
    point: str,
) -> None:
    """Before the mark, in the window, and before the end is written down."""
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    gate = tmp_path / "gate"
    gate.touch()
    delivery = letter(ASKS)
    variables = {"TASKYARD_FAULT_CALL": "tests.probe.stand_still", "PROBE_GATE": str(gate)}
    worker = start_worker("notifications", fault=point, **variables)
    until(gate.with_suffix(".reached").exists, what=point)

    database_server.stop()
    connection.close()
    gate.unlink()
    until(lambda: worker.says("The database cannot be used"), what="the worker to notice")
    database_server.start()

    delivery = ended(delivery)
    assert (delivery.state, outcomes(delivery)) == (State.SENT, [Outcome.ACCEPTED])
    assert ids(reached) == [delivery.message_id]


def test_a_dead_letter_of_a_failed_delivery_sends_it_when_it_is_replayed(
    reached: MailServer, start_worker: StartWorker
) -> None:
    reached.to_message = "554 5.6.0 Not today"
    delivery = letter(REPEATS)
    start_worker("notifications")
    assert ended(delivery, status="FAILURE").state == State.FAILED
    reached.to_message = "250 taken"

    replay.replay([DeadLetter.objects.get().pk], by="a test")

    until(lambda: Delivery.objects.get(pk=delivery.pk).state == State.SENT, what="the delivery")
    until(lambda: not Message.objects.exists(), what="the outcome")
    assert outcomes(delivery) == [Outcome.PERMANENT, Outcome.ACCEPTED]
    assert ids(reached) == [delivery.message_id]


def test_a_worker_sends_one_after_the_other_over_one_connection(reached: MailServer, start_worker: StartWorker) -> None:
    services.notify([f"reader{number}@example.org" for number in range(20)], subject="News", text="Hello.\n")
    worker: Process = start_worker("notifications")

    until(lambda: Delivery.objects.filter(state=State.SENT).count() == 20, what="all deliveries")
    assert len(reached.sessions) == 1
    assert worker.stop() == 0
    assert reached.goodbyes == 1
    assert sorted(taken.recipients[0] for taken in reached.deliveries) == sorted(
        f"reader{number}@example.org" for number in range(20)
    )


def test_messages_that_come_three_times_are_sent_once(
    reached: MailServer, start_worker: StartWorker, broker_url: str
) -> None:
    readers = [f"reader{number}@example.org" for number in range(10)]
    services.notify(readers, subject="News", text="Hello.\n")
    doubler = Doubler(broker_url)
    doubler.start()

    start_worker("notifications", "--concurrency=2")

    until(lambda: not Message.objects.exists(), seconds=120, what="all outcomes")
    doubler.done.set()
    doubler.join(60)
    assert len(doubler.copies) == 10
    assert sorted(taken.recipients[0] for taken in reached.deliveries) == sorted(readers)
    assert set(Attempt.objects.values_list("number", "outcome")) == {(1, Outcome.ACCEPTED)}
