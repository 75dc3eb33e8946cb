"""The audit: what balances, what does not, and what is stuck."""

import json
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from celery import states
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone
from django_celery_results.models import ChordCounter, TaskResult

from routing.ledger import database, retention, tally
from routing.ledger.audit import Account, audit
from routing.ledger.snapshot import one_moment
from routing.ledger.tables import Message, Outbox, Process, Tally, UniqueKey
from tests.stored_results import in_flight, store

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def account(domain: str = "notifications") -> Account:
    (found,) = [each for each in audit().accounts if each.domain == domain]
    return found


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        call_command("audit", *arguments)
    return int(str(ended.value.code)), capsys.readouterr().out


@pytest.fixture
def week() -> None:
    """Twelve tasks of one domain and a task of another, in every place where a task can be."""
    for state in (states.PENDING, states.PENDING, states.RETRY, "SENDING"):
        in_flight(state=state)
    for status in (states.SUCCESS, states.SUCCESS, states.FAILURE, states.REVOKED, states.IGNORED):
        store(status=status, done_at=timezone.now(), domain="notifications")
    Tally.objects.create(domain="notifications", accepted=12, finished=5)
    Tally.objects.create(domain="notifications", finished=3)
    Tally.objects.create(domain="notifications", pruned=3)
    in_flight("reporting.weekly", state=states.STARTED)
    Tally.objects.create(domain="reporting", accepted=1)


def test_the_books_balance(week: None, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = run(capsys=capsys)

    assert status == 0
    assert text.splitlines()[-1] == "All 13 accepted tasks are accounted for."
    found = account()
    assert found.in_flight == {states.PENDING: 2, states.RETRY: 1, "SENDING": 1}
    assert found.finished == {states.SUCCESS: 2, states.FAILURE: 1, states.REVOKED: 1, states.IGNORED: 1}


@pytest.mark.parametrize(
    ("lose", "sentence"),
    [
        (
            lambda: Message.objects.filter(domain="notifications").first(),
            "notifications: 1 task of 12 is missing: 1 was in flight, and its row is gone.",
        ),
        (
            lambda: Message.objects.get(domain="reporting"),
            "reporting: 1 task of 1 is missing: 1 was in flight, and its row is gone.",
        ),
        (
            lambda: TaskResult.objects.filter(status=states.SUCCESS).first(),
            "notifications: 1 task of 12 is missing: 1 had finished, and its result is gone.",
        ),
        (
            lambda: Tally.objects.filter(pruned=3).get(),
            "notifications: 3 tasks of 12 are missing: 3 had finished, and their results are gone.",
        ),
        (lambda: Tally.objects.get(domain="reporting"), "reporting: 1 task more is there than the tally knows of"),
        (lambda: Tally.objects.get(accepted=12), "notifications: 12 tasks more are there than the tally knows of"),
    ],
)
def test_one_row_deleted_by_hand_is_noticed_and_its_domain_named(
    week: None, capsys: pytest.CaptureFixture[str], lose: Any, sentence: str
) -> None:
    lose().delete()

    status, text = run(capsys=capsys)

    assert status == 1
    assert sentence in text
    assert "docs/operations.md" in text
    assert "accounted for" not in text


def test_a_loss_is_not_hidden_by_a_surplus_elsewhere(week: None) -> None:
    Message.objects.filter(domain="notifications", state=states.PENDING)[:1].get().delete()
    store(done_at=timezone.now(), domain="notifications")

    found = account()

    assert (found.messages_missing, found.results_missing) == (1, -1)
    assert not found.balances


def test_a_domain_that_the_project_no_longer_has_is_still_audited() -> None:
    Tally.objects.create(domain="billing", accepted=2)

    assert account("billing").messages_missing == 2


@pytest.mark.parametrize(
    "meta", [None, "", "{}", "no JSON", '{"domain": 7}', '{"domain": "notifications', '{"x": "\\"domain\\": \\"a\\""}']
)
def test_rows_that_other_programs_wrote_are_in_nobodys_books(meta: str | None) -> None:
    row = store(done_at=timezone.now())
    TaskResult.objects.filter(pk=row.pk).update(meta=meta)

    assert not any(account.finished for account in audit().accounts)


def test_without_any_task_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No task has been accepted yet" in run(capsys=capsys)[1]


def test_the_document_for_programs_has_every_figure(week: None, capsys: pytest.CaptureFixture[str]) -> None:
    Message.objects.get(domain="reporting").delete()

    status, text = run("--json", capsys=capsys)

    document = json.loads(text)
    (reporting,) = [each for each in document["domains"] if each["domain"] == "reporting"]
    assert (status, document["status"], document["balances"]) == (1, "failing", False)
    assert (reporting["accepted"], reporting["messages_missing"], reporting["in_flight"]) == (1, 1, {})


# --- What is stuck ----------------------------------------------------------------------------------------------------
def kinds() -> dict[str, bool]:
    """Each kind that is stuck, and whether for long."""
    return {stuck.kind: stuck.for_long for stuck in audit().stuck}


def process(*, dead_for: timedelta | None = None) -> int:
    dead_at = timezone.now() - dead_for if dead_for is not None else None
    row = Process.objects.create(role=Process.Role.WORKER, host="app-1", pid=7, dead_at=dead_at)
    return int(row.pk)


@pytest.mark.parametrize(
    ("dead_for", "stuck"),
    [(timedelta(seconds=30), {}), (2 * MINUTE, {"dead owner": False}), (6 * MINUTE, {"dead owner": True})],
)
def test_a_dead_owners_task_is_left_to_the_relays_for_a_minute(dead_for: timedelta, stuck: dict[str, bool]) -> None:
    in_flight(state=states.STARTED, owner=process(dead_for=dead_for), started_at=timezone.now())

    assert kinds() == stuck


def test_a_task_whose_owner_has_no_row_is_as_good_as_a_dead_ones() -> None:
    in_flight(state=states.STARTED, owner=4711, started_at=timezone.now() - 9 * MINUTE)

    assert kinds() == {"dead owner": True}


def test_a_living_owners_task_may_take_its_time() -> None:
    in_flight(state=states.STARTED, owner=process(), started_at=timezone.now() - timedelta(hours=2))

    assert kinds() == {}


def test_a_message_that_could_not_be_published_is_named_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    row = in_flight(created_at=timezone.now() - 9 * MINUTE)
    Tally.objects.create(domain="notifications", accepted=1)
    refused = {"failures": 3, "reason": "RabbitMQ is out of disk space.\nmore"}
    Outbox.objects.create(message_id=row.pk, epoch=1, queue=row.queue, due_at=timezone.now() + MINUTE, **refused)

    status, text = run(capsys=capsys)

    assert status == 1
    assert "1 task for notifications could not be published: RabbitMQ is out of disk space. The relay goes on" in text
    assert "The one accepted task is accounted for." in text


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_publication_of_no_task_or_an_older_epoch_is_stray(epoch: int) -> None:
    row = in_flight(epoch=2)
    Outbox.objects.create(
        message_id=row.pk if epoch == 1 else "gone", epoch=epoch, queue=row.queue, due_at=timezone.now() - 2 * MINUTE
    )

    assert kinds() == {"stray publication": False}


def test_what_waits_for_the_relay_or_in_the_broker_is_not_stuck() -> None:
    in_flight(created_at=timezone.now() - 9 * MINUTE)
    row = in_flight(created_at=timezone.now() - 9 * MINUTE)
    Outbox.objects.create(message_id=row.pk, epoch=1, queue=row.queue, due_at=row.due_at)

    assert kinds() == {}


def test_tasks_in_a_queue_that_no_domain_declares_are_named() -> None:
    in_flight(queue="notifications.express", created_at=timezone.now() - 9 * MINUTE)

    (stuck,) = audit().stuck
    assert (stuck.kind, stuck.for_long) == ("undeclared queue", True)
    assert "1 task waits in notifications.express, which no domain declares." in stuck.sentence


def test_a_key_is_forgotten_once_task_and_period_are_over() -> None:
    row = in_flight()
    UniqueKey.objects.create(key="held", task_id=row.pk)
    UniqueKey.objects.create(key="in its period", task_id="over", expires_at=timezone.now() + MINUTE)
    assert kinds() == {}

    UniqueKey.objects.create(key="forgotten", task_id="over")

    assert kinds() == {"forgotten key": False}


def test_a_chord_whose_members_all_ended_is_lost() -> None:
    member, row = store(done_at=timezone.now() - 9 * MINUTE), in_flight()
    parts = [[[task_id, None], None] for task_id in (member.task_id, row.pk)]
    ChordCounter.objects.create(group_id=str(uuid4()), sub_tasks=json.dumps(parts), count=1)
    assert kinds() == {}

    row.delete()

    assert kinds() == {"lost chord": True}


# --- The tally --------------------------------------------------------------------------------------------------------
def test_a_roll_up_keeps_the_sums_in_one_row_a_domain() -> None:
    for number in range(30):
        Tally.objects.create(domain="billing" if number % 3 else "shipping", accepted=1, finished=2, pruned=number)
    before = tally.books()

    fewer = tally.roll_up(batch=7)

    assert fewer == 28
    assert tally.books() == before
    assert Tally.objects.count() == 2
    assert tally.roll_up() == 0


@pytest.mark.django_db(transaction=True)
def test_roll_ups_at_once_beside_a_writer_lose_nothing() -> None:
    Tally.objects.bulk_create(Tally(domain=f"d{number % 5}", accepted=1) for number in range(3000))
    start = Barrier(4)

    def roll() -> None:
        start.wait()
        tally.roll_up(batch=100)
        connections.close_all()

    def write() -> None:
        start.wait()
        for _ in range(50):
            Tally.objects.create(domain="d0", finished=1)
        connections.close_all()

    threads = [Thread(target=target) for target in (roll, roll, roll, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    books = tally.books()
    assert sum(each.accepted for each in books.values()) == 3000
    assert books["d0"].finished == 50
    assert Tally.objects.count() < 300


@pytest.mark.django_db(transaction=True)
def test_an_audit_sees_one_moment_and_holds_nobody_up() -> None:
    Tally.objects.create(domain="billing", accepted=1)

    def write() -> None:
        Tally.objects.create(domain="billing", accepted=1)
        connections.close_all()

    with one_moment():
        assert tally.books()["billing"].accepted == 1
        writer = Thread(target=write)
        writer.start()
        writer.join(20)
        assert not writer.is_alive()
        assert tally.books()["billing"].accepted == 1

    assert tally.books()["billing"].accepted == 2


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_is_read_only_or_rolled_back() -> None:
    if database.on_postgresql():
        with pytest.raises(Exception, match="read-only"), one_moment():
            Tally.objects.create(domain="billing", accepted=1)
    else:
        with one_moment():
            Tally.objects.create(domain="billing", accepted=1)

    assert not Tally.objects.exists()
    assert connection.get_autocommit()


def test_pruning_keeps_the_balance(week: None) -> None:
    old = timezone.now() - timedelta(days=400)
    TaskResult.objects.update(date_done=old)
    store(done_at=old)

    retention.prune(now=timezone.now())

    assert audit().balances
    assert not TaskResult.objects.exists()
    assert tally.books()["notifications"].pruned == 8
