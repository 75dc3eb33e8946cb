"""The audit: what balances, what does not, and what is stuck."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from celery import chord, group, states
from celery._state import _task_stack  # type: ignore[attr-defined]
from celery.exceptions import Ignore
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone
from django_celery_results.models import ChordCounter, TaskResult

from project import celery_app
from routing.ledger import database, redrive, retention, tally
from routing.ledger.audit import Account, audit
from routing.ledger.enqueue import REPLACED
from routing.ledger.settle import Fence
from routing.ledger.snapshot import one_moment
from routing.ledger.tables import Message, Outbox, Process, Tally, UniqueKey
from routing.worker.backend import request_of
from routing.worker.running import Run
from tests import probe as typed_probe
from tests.stored_results import in_flight, store

probe: Any = typed_probe

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


def process(name: str = "", *, dead_for: timedelta | None = None) -> int:
    dead_at = timezone.now() - dead_for if dead_for is not None else None
    row = Process.objects.create(role=Process.Role.WORKER, name=name, host="app-1", pid=7, dead_at=dead_at)
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


HOUR = timedelta(hours=1)
CALLS_LIMIT = json.dumps({"timelimit": [7200, 7000]})
NO_LIMIT = json.dumps({"timelimit": [None, None]})


@pytest.mark.parametrize(
    ("task", "headers", "since"),
    [
        ("notifications.send_email", CALLS_LIMIT, 2 * HOUR + 4 * MINUTE),
        ("notifications.unheard_of", NO_LIMIT, 6 * MINUTE),
        ("notifications.unheard_of", "{}", 6 * MINUTE),
        ("reporting.weekly", NO_LIMIT, 19 * MINUTE),
        ("maintenance.unheard_of", '{"timelimit": "any"}', 19 * MINUTE),
        ("billing.unheard_of", "{}", 48 * HOUR),
    ],
)
def test_a_living_owners_task_may_take_as_long_as_its_limit_and_five_minutes(
    task: str, headers: str, since: timedelta
) -> None:
    in_flight(
        task, queue="reporting", headers=headers, state="SENDING", owner=process(), started_at=timezone.now() - since
    )

    assert kinds() == {}


@pytest.mark.parametrize(
    ("task", "headers", "since"),
    [
        ("notifications.send_email", CALLS_LIMIT, 2 * HOUR + 6 * MINUTE),
        ("notifications.unheard_of", NO_LIMIT, 7 * MINUTE),
        ("notifications.unheard_of", "{}", 7 * MINUTE),
        ("reporting.weekly", NO_LIMIT, 21 * MINUTE),
        (probe.hurry.name, "{}", 6 * MINUTE),
        ("maintenance.unheard_of", '{"timelimit": "any"}', 21 * MINUTE),
    ],
)
def test_a_living_owners_task_that_should_have_been_ended_is_overdue(
    task: str, headers: str, since: timedelta, capsys: pytest.CaptureFixture[str]
) -> None:
    row = in_flight(task, headers=headers, state=states.STARTED, owner=process(), started_at=timezone.now() - since)

    (stuck,) = audit().stuck

    assert (stuck.kind, stuck.count, stuck.example, stuck.for_long) == ("overdue", 1, row.pk, True)
    assert stuck.sentence.startswith("1 task has been running on a worker for longer than the hard time limit: ")
    assert stuck.sentence.endswith("kill -KILL 7 on app-1")
    assert run(capsys=capsys)[0] == 1


def test_overdue_tasks_are_counted_by_the_worker_that_runs_them() -> None:
    ago = timezone.now() - HOUR
    for owner in [process("celery@a")] * 2 + [process("celery@b"), process(dead_for=timedelta())]:
        in_flight("reporting.weekly", state=states.STARTED, owner=owner, started_at=ago)

    found = [(stuck.kind, stuck.count, stuck.sentence.partition(" for ")[0]) for stuck in audit().stuck]

    assert found == [
        ("overdue", 2, "2 tasks have been running on celery@a"),
        ("overdue", 1, "1 task has been running on celery@b"),
    ]


def test_a_replaced_task_is_stuck_once_nothing_of_its_chain_is_in_flight() -> None:
    ago = timezone.now() - 9 * MINUTE
    root = in_flight()
    replaced = in_flight(state=REPLACED, root_id=root.pk, started_at=ago)
    assert kinds() == {"replaced": True}

    following = in_flight(root_id=root.pk)
    assert kinds() == {}

    in_flight(state=REPLACED, root_id=root.pk)
    Message.objects.filter(pk=following.pk).update(state=REPLACED)
    (stuck,) = audit().stuck
    assert stuck.count == 1
    assert replaced.pk in stuck.sentence
    assert "3 tasks" not in stuck.sentence


@pytest.mark.parametrize(
    "replacement",
    [
        lambda: probe.add.s(1, 2) | probe.add.s(3),
        lambda: group(probe.add.s(1, 2), probe.add.s(3, 4)),
        lambda: chord([probe.add.s(1, 2), probe.add.s(3, 4)], probe.total.s()),
        lambda: group(probe.add.s(1, 2), probe.add.s(3, 4)) | probe.total.s() | probe.add.s(1),
    ],
    ids=["chain", "group", "chord", "chain with a group"],
)
def test_a_replaced_task_is_not_stuck_while_what_replaced_it_is_in_flight(
    replacement: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that Celery sends in a task's place has the task's root."""
    ago = timezone.now() - 9 * MINUTE
    row = in_flight(probe.become_a_chain.name, root_id="root", parent_id="root", started_at=ago)
    Tally.objects.create(domain=row.domain, accepted=1)
    headers = {"task": row.task, "id": row.pk, "root_id": "root", "parent_id": "root"}
    Message.objects.filter(pk=row.pk).update(headers=json.dumps(headers))
    monkeypatch.setattr(probe.become_a_chain, "run", lambda: probe.become_a_chain.replace(replacement()))

    run_here(probe.become_a_chain, Message.objects.get(pk=row.pk))

    row.refresh_from_db()
    assert row.state == REPLACED
    assert kinds() == {}
    Message.objects.exclude(pk=row.pk).delete()
    assert kinds()["replaced"]


@pytest.mark.parametrize(
    "cure",
    [
        lambda task_id: celery_app.control.revoke(task_id, terminate=False),
        lambda task_id: probe.total.apply_async(([1],), task_id=task_id),
    ],
)
def test_a_replaced_task_is_moved_on_by_its_cure(cure: Callable[[str], object]) -> None:
    row = in_flight(state=REPLACED, created_at=timezone.now() - 9 * MINUTE)

    cure(row.pk)

    assert kinds() == {}


def run_here(task: Any, message: Message) -> None:
    """As a worker runs it."""
    request = request_of(message)
    request.ledger_run = Run(Fence(task_id=message.pk, epoch=message.epoch, owner=message.owner))
    task.request_stack.push(request)
    _task_stack.push(task)
    try:
        with suppress(Ignore):
            task()
    finally:
        _task_stack.pop()
        task.request_stack.pop()


def overtaken_row(**fields: Any) -> Message:
    """A task that became due two hours ago, beside one that became due just now and is being run."""
    ago = timezone.now() - 2 * HOUR
    in_flight(queue="reporting", state=states.STARTED, owner=process(), started_at=timezone.now())
    return in_flight(**{"queue": "reporting", "created_at": ago, **fields})


def test_a_task_that_rabbitmq_gave_out_of_turn_is_overtaken() -> None:
    row = overtaken_row()

    (stuck,) = audit().stuck

    assert (stuck.kind, stuck.example, stuck.for_long) == ("overtaken", row.pk, True)
    assert "1 task waits in reporting while others that became due over an hour later" in stuck.sentence
    assert "Look into reporting.dead" in stuck.sentence
    assert "manage.py redrive reporting" in stuck.sentence


def test_a_task_without_a_publication_in_a_queue_where_nothing_runs_is_named() -> None:
    """As after its publication was deleted by hand, or RabbitMQ lost it: no later task tells of it by overtaking."""
    ago = timezone.now() - 2 * HOUR
    task_id = probe.add.delay(1, 2).id
    Message.objects.update(created_at=ago, due_at=ago)
    assert kinds() == {}
    Outbox.objects.all().delete()

    (stuck,) = audit().stuck

    assert (stuck.kind, stuck.example, stuck.for_long) == ("unmoved", task_id, True)
    assert "1 task has waited in reporting for over an hour" in stuck.sentence
    redrive.after_loss(["reporting"])
    assert kinds() == {}


def test_a_task_that_waits_while_its_queue_is_worked_on_is_not_named() -> None:
    ago = timezone.now() - 2 * HOUR
    in_flight(queue="reporting", created_at=ago)
    in_flight(queue="reporting", created_at=ago, state=states.STARTED, owner=process(), started_at=timezone.now())

    assert kinds() == {}


def test_what_was_overtaken_is_published_again_by_its_cure() -> None:
    row = overtaken_row()

    redrive.after_loss(["reporting"])

    assert Outbox.objects.get().message_id == row.pk
    assert kinds() == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"queue": "maintenance"},
        {"due_at": timezone.now() - 50 * MINUTE},
        {"created_at": timezone.now() - 50 * MINUTE, "due_at": timezone.now() - 3 * HOUR},
        {"started_at": timezone.now() - 50 * MINUTE},
        {"state": states.STARTED, "owner": 4711, "started_at": timezone.now()},
    ],
    ids=["other queue", "due lately", "enqueued lately, for a time before", "run before", "being run"],
)
def test_what_waits_its_turn_is_not_overtaken(fields: dict[str, Any]) -> None:
    overtaken_row(**fields)

    assert "overtaken" not in kinds()


def test_what_is_to_be_published_or_was_replaced_is_not_overtaken() -> None:
    row = overtaken_row()
    Outbox.objects.create(message_id=row.pk, epoch=1, queue=row.queue, due_at=row.due_at)
    overtaken_row(state=REPLACED)

    assert "overtaken" not in kinds()


def test_what_has_a_priority_may_overtake() -> None:
    overtaken_row()
    Message.objects.filter(owner__isnull=False).update(properties='{"priority": 9}')

    assert kinds() == {}


def test_what_a_worker_may_hold_for_longer_is_not_overtaken(settings: Any) -> None:
    settings.TASKYARD_CONSUMER_TIMEOUT = 3 * HOUR
    overtaken_row()

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
        writer.join(60)
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
