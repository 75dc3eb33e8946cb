"""Cancelling: exactly one outcome, whatever happens to the task at the same moment."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from io import StringIO
from threading import Barrier, Thread
from typing import Any

import pytest
from celery import chain, chord
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone
from django_celery_results.models import ChordCounter, TaskResult

from project import celery_app
from routing.broker import forbidden
from routing.ledger import adoption, processes, redrive, reschedule, terminations
from routing.ledger.audit import audit
from routing.ledger.claim import Claim, Refusal, claim
from routing.ledger.enqueue import Envelope
from routing.ledger.settle import settle
from routing.ledger.tables import Message, Outbox, Process, Termination
from routing.worker import cancelling
from routing.worker.backend import request_of
from routing.worker.cancelling import Fate, Order, cancel
from routing.worker.running import Run
from tests import probe as typed_probe
from tests.ledger.test_verbs import DONE, envelope, fence
from tests.workers import ROOT, environment

probe: Any = typed_probe
pytestmark = pytest.mark.django_db(transaction=True)

ORDER = Order(by="ann", note="wrong list")
ENDING = Order(by="ann", signal="TERM")


@pytest.fixture
def task_id() -> str:
    return str(probe.add.delay(1, 2).id)


@pytest.fixture
def owner() -> int:
    return processes.register(Process.Role.WORKER, "w")


def meta(task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TaskResult.objects.get(task_id=task_id, status="REVOKED").meta)
    return found


def command(*arguments: str) -> tuple[int, str]:
    output = StringIO()
    try:
        call_command("cancel", *arguments, stdout=output, stderr=output)
    except SystemExit as ended:
        return int(ended.code or 0), output.getvalue()
    return 0, output.getvalue()


def in_a_shell(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# --- One task -------------------------------------------------------------------------------------------------------


def test_what_waits_is_gone_with_its_publication_and_says_who_did_it_and_why(task_id: str) -> None:
    assert cancel(task_id, ORDER) is Fate.CANCELLED

    assert not Message.objects.exists()
    assert not Outbox.objects.exists()
    assert {name: meta(task_id).get(name) for name in ("reason", "by", "note", "ran", "queue")} == {
        "reason": "revoked",
        "by": "ann",
        "note": "wrong list",
        "ran": None,
        "queue": "reporting",
    }
    assert TaskResult.objects.get().date_done is not None
    assert claim(task_id, epoch=1, owner=1, pid=1) is Refusal.FINISHED
    assert audit().balances


def test_it_is_safe_to_call_again(task_id: str) -> None:
    assert [cancel(task_id, ORDER), cancel(task_id, ORDER)] == [Fate.CANCELLED, Fate.FINISHED]
    assert cancel("nobody", ORDER) is Fate.UNKNOWN
    assert audit().balances


def test_nothing_that_a_running_body_comes_to_counts_any_more(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    again = envelope(task_id)

    assert cancel(task_id, ORDER) is Fate.RUNS_ON

    assert meta(task_id)["ran"] is True
    assert not settle(fence(task_id, owner, pid=7), DONE)
    assert not reschedule.retry(fence(task_id, owner), again, error="x")
    assert not reschedule.release(fence(task_id, owner), error="x")
    assert TaskResult.objects.get().status == "REVOKED"
    assert not Termination.objects.exists()


def test_what_is_to_be_ended_is_ordered_with_the_outcome(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)

    assert cancel(task_id, ENDING) is Fate.ENDING

    (order,) = terminations.of(owner)
    assert (order.task_id, order.pid, order.signal) == (task_id, 7, "TERM")
    terminations.answer(order.id, terminations.Answer.ENDED)
    terminations.answer(order.id, terminations.Answer.OVER)
    assert terminations.answers([task_id]) == {task_id: "ended"}
    assert not terminations.of(owner)


def test_a_worker_that_died_has_ended_what_it_ran(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    cancel(task_id, ENDING)
    assert terminations.answers([task_id]) == {task_id: ""}

    processes.leave(owner)

    assert terminations.answers([task_id]) == {task_id: "ended"}


def test_later_links_of_a_chain_come_to_the_same() -> None:
    last = chain(probe.add.si(1, 1), probe.add.si(2, 2), probe.add.si(3, 3)).apply_async()

    cancel(Message.objects.get().pk, ORDER)

    assert Counter(TaskResult.objects.values_list("status", flat=True)) == {"REVOKED": 3}
    assert meta(last.id)
    assert not Message.objects.exists()


def test_a_chord_gets_its_failure_when_its_last_member_is_cancelled() -> None:
    body = chord([probe.add.si(1, 1), probe.add.si(2, 2)])(probe.rebuild.si("body"))
    first, second = Message.objects.values_list("pk", flat=True)

    cancelling.cancel_many([first, second], ORDER)

    assert celery_app.AsyncResult(body.id).state == "FAILURE"
    assert not ChordCounter.objects.exists()
    assert not Message.objects.exists()
    assert audit().balances


# --- Races ----------------------------------------------------------------------------------------------------------


def together(*calls: Callable[[], object]) -> None:
    barrier = Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        finally:
            connections.close_all()

    threads = [Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


RIVALS: dict[str, Callable[[Envelope, int], object]] = {
    "settle": lambda task, owner: settle(fence(task.id, owner, pid=7), DONE),
    "retry": lambda task, owner: reschedule.retry(fence(task.id, owner), task, error="x"),
    "release": lambda task, owner: reschedule.release(fence(task.id, owner), error="x"),
    "hand back": lambda task, owner: reschedule.hand_back(fence(task.id, owner)),
    "another": lambda task, _owner: cancel(task.id, ENDING),
}


@pytest.mark.parametrize("rival", RIVALS)
def test_at_once_with_anything_else_there_is_one_outcome(rival: str, owner: int) -> None:
    fates: list[tuple[str, Fate]] = []
    for _ in range(20):
        task_id = probe.add.delay(1, 2).id
        claim(task_id, epoch=1, owner=owner, pid=7)
        again = envelope(task_id)
        together(
            lambda task_id=task_id: fates.append((task_id, cancel(task_id, ORDER))),  # type: ignore[misc]
            lambda again=again: RIVALS[rival](again, owner),  # type: ignore[misc]
        )

    assert not Message.objects.exists()
    for task_id, fate in fates:
        status = TaskResult.objects.get(task_id=task_id).status
        assert status == ("REVOKED" if fate.is_cancelled or rival == "another" else "SUCCESS")
    assert audit().balances


def test_at_once_with_a_claim_the_worker_learns_that_it_lost(owner: int) -> None:
    claims: dict[str, Any] = {}
    for _ in range(20):
        task_id = probe.add.delay(1, 2).id

        def take(task_id: str = task_id) -> None:
            claims[task_id] = claim(task_id, epoch=1, owner=owner, pid=7)

        together(take, lambda task_id=task_id: cancel(task_id, ENDING))  # type: ignore[misc]

    assert not Message.objects.exists()
    ordered = {one.task_id for one in terminations.of(owner)}
    # Whoever may run it is told to end it; whoever may not was refused.
    assert ordered == {task_id for task_id, answer in claims.items() if isinstance(answer, Claim)}
    assert set(TaskResult.objects.values_list("status", flat=True)) == {"REVOKED"}
    assert audit().balances


def test_two_who_cancel_the_same_many_at_once_cancel_each_once() -> None:
    probe.add.enqueue_many([(n, n) for n in range(200)])
    ids, found = list(Message.objects.order_by("pk").values_list("pk", flat=True)), Counter[str]()

    together(*[lambda: found.update(cancelling.cancel_many(ids, ORDER)) for _ in range(2)])

    assert found == {"cancelled": 200, "already finished": 200}
    assert not Outbox.objects.exists()
    assert audit().balances


def test_many_at_once_come_to_what_each_would_alone(owner: int) -> None:
    waiting, alone, runs = (str(one.id) for one in probe.add.enqueue_many([(n, n) for n in range(3)]))
    link: Any = chain(probe.add.si(1, 1), probe.add.si(2, 2)).apply_async()
    changed = str(probe.add.delay(9, 9).id)
    for number, claimed in enumerate([runs, changed]):
        claim(claimed, epoch=1, owner=owner, pid=number)
    reschedule.release(fence(changed, owner), error="")
    cancel(alone, ENDING)

    fates = cancelling.cancel_many([waiting, runs, link.parent.id, changed, alone, "nobody"], ENDING)

    assert fates == {Fate.CANCELLED: 3, Fate.ENDING: 1, Fate.FINISHED: 1, Fate.UNKNOWN: 1}
    assert outcome_of(waiting) == outcome_of(alone)
    assert meta(runs) == meta(alone) | {"ran": True, "runs": 1, "root_id": runs}
    assert TaskResult.objects.filter(status="REVOKED").count() == 6, "the chain's second link, too"
    assert Termination.objects.get().task_id == runs
    assert not Message.objects.exists()
    assert not Outbox.objects.exclude(message_id=changed, epoch=1).exists()
    assert audit().balances


def outcome_of(task_id: str) -> dict[str, Any]:
    row: dict[str, Any] = TaskResult.objects.filter(task_id=task_id).values().get()
    own = {name: row.pop(name) for name in ("id", "task_id", "date_created", "date_done", "task_args", "meta")}
    return row | {"meta": json.loads(own["meta"]) | {"root_id": None}}


@pytest.mark.parametrize(("window", "left"), [("cancel.written:2", 50), ("cancel.committed:2", 0)])
def test_whoever_dies_over_many_has_done_whole_batches(window: str, left: int) -> None:
    probe.add.enqueue_many([(n, n) for n in range(100)])

    ended = in_a_shell("manage.py", "cancel", "--all", "--yes", TASKYARD_FAULT=window)

    assert ended.returncode == -9
    assert (Message.objects.count(), Outbox.objects.count()) == (left, left)
    assert TaskResult.objects.filter(status="REVOKED").count() == 100 - left
    assert audit().balances


@pytest.mark.parametrize(("window", "is_done"), [("cancel.written", False), ("cancel.committed", True)])
def test_whoever_dies_over_it_has_done_all_of_it_or_nothing(
    task_id: str, owner: int, window: str, is_done: bool
) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)

    ended = in_a_shell("manage.py", "cancel", task_id, "--terminate", TASKYARD_FAULT=window)

    assert ended.returncode == -9
    assert (TaskResult.objects.count(), Message.objects.count(), Termination.objects.count()) == (
        (1, 0, 1) if is_done else (0, 1, 0)
    )
    assert cancel(task_id, ORDER) is (Fate.FINISHED if is_done else Fate.RUNS_ON)
    assert audit().balances


@pytest.mark.parametrize("rival", ["settle", "another"])
def test_a_chord_whose_members_end_at_once_has_one_end(rival: str, owner: int) -> None:
    for _ in range(10):
        body = chord([probe.add.si(1, 1), probe.add.si(2, 2)])(probe.rebuild.si("body"))
        first, second = Message.objects.values_list("pk", flat=True)
        claim(second, epoch=1, owner=owner, pid=7)
        end = partial(cancel, second, ORDER) if rival == "another" else partial(_succeed, second, owner)
        together(partial(cancel, first, ORDER), end)

        assert TaskResult.objects.get(task_id=body.id).status == "FAILURE"
        assert not Message.objects.exists()
    assert not ChordCounter.objects.exists()
    assert audit().balances


def _succeed(task_id: str, owner: int) -> None:
    """As a worker's process does, with the part in its chord."""
    message = Message.objects.get(pk=task_id)
    request = request_of(message)
    request.ledger_run = Run(fence(task_id, owner, pid=7))
    celery_app.backend.mark_as_done(task_id, 4, request)


# --- Celery's own ways ----------------------------------------------------------------------------------------------


WAYS: dict[str, Callable[[str], object]] = {
    "AsyncResult.revoke": lambda task_id: celery_app.AsyncResult(task_id).revoke(),
    "AsyncResult.revoke, terminate": lambda task_id: celery_app.AsyncResult(task_id).revoke(terminate=True),
    "control.revoke": lambda task_id: celery_app.control.revoke(task_id),
    "control.revoke of several": lambda task_id: celery_app.control.revoke([task_id, task_id]),
    "control.terminate": lambda task_id: celery_app.control.terminate(task_id),
    "broadcast": lambda task_id: celery_app.control.broadcast("revoke", arguments={"task_id": [task_id]}),
}


@pytest.mark.parametrize("way", WAYS)
def test_celerys_own_ways_are_as_durable(task_id: str, way: str) -> None:
    WAYS[way](task_id)

    assert meta(task_id)["by"] == processes.whoever()
    assert not Message.objects.exists()
    assert audit().balances


ENDS: dict[str, tuple[Callable[[Envelope, int], object], str]] = {
    "success": (RIVALS["settle"], "SUCCESS"),
    "retry": (RIVALS["retry"], "REVOKED"),
    "its worker's death": (lambda _task, owner: _die(owner), "REVOKED"),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_celery_revokes_while_it_runs_comes_to_its_end_and_is_not_run_again(
    task_id: str, owner: int, end: str
) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    again, (happens, status) = envelope(task_id), ENDS[end]
    celery_app.control.revoke(task_id)
    assert forbidden.sweep() == 0
    assert Message.objects.get().state == "STARTED"

    happens(again, owner)

    assert forbidden.sweep() == (status == "REVOKED")
    assert TaskResult.objects.get().status == status
    assert (Message.objects.count(), terminations.forbidden()) == (0, [])
    assert audit().balances


def _die(owner: int) -> None:
    # What was claimed had been published.
    Outbox.objects.all().delete()
    Process.objects.filter(pk=owner).update(dead_at=timezone.now())
    redrive.of_dead_owners()


def test_answered_orders_are_pruned_a_day_later(owner: int) -> None:
    terminations.ask("answered", owner=owner, pid=7, signal="TERM")
    terminations.answer(terminations.of(owner)[0].id, terminations.Answer.ENDED)
    terminations.ask("open", owner=owner, pid=7, signal="TERM")
    terminations.ask("of the dead", owner=owner + 1, pid=7, signal="TERM")

    assert not terminations.old(timezone.now()).exists()
    late = terminations.old(timezone.now() + timedelta(days=2))
    assert set(late.values_list("task_id", flat=True)) == {"answered", "of the dead"}


@pytest.mark.parametrize("arguments", [["revoke"], ["terminate", "KILL"]])
def test_celerys_command_needs_neither_worker_nor_broker(task_id: str, arguments: list[str]) -> None:
    verb = ["-m", "celery", "-A", "project", "control", *arguments, task_id]

    ended = in_a_shell(*verb, BROKER_URL="amqp://guest:guest@127.0.0.1:1//")

    assert ended.returncode == 0, ended.stderr
    assert f"{task_id}: cancelled" in ended.stdout
    assert meta(task_id)["by"] == processes.whoever()


def test_an_id_that_nobody_knows_yet_is_refused_once_it_comes(owner: int, task_id: str) -> None:
    stranger = envelope(task_id)
    cancel(task_id, ORDER)
    TaskResult.objects.all().delete()

    celery_app.control.revoke("from elsewhere")

    assert TaskResult.objects.get().status == "REVOKED"
    assert not adoption.adopt(stranger._replace(id="from elsewhere"))
    assert claim("from elsewhere", epoch=0, owner=owner, pid=7) is Refusal.FINISHED


# --- The command ----------------------------------------------------------------------------------------------------


def test_the_command_says_of_each_id_what_becomes_of_it(owner: int) -> None:
    waiting, running, done = (str(probe.add.delay(1, 2).id) for _ in range(3))
    for task_id in (running, done):
        claim(task_id, epoch=1, owner=owner, pid=7)
    settle(fence(done, owner), DONE)

    code, output = command(waiting, running, done, "nobody", "--by", "ann", "--reason", "wrong list")

    assert code == 1
    assert output.splitlines() == [
        f"{waiting}  cancelled; it had not begun, and never will.",
        f"{running}  cancelled; its body runs on, and nothing it comes to counts. --terminate would end it.",
        f"{done}  not cancelled: it had come to its outcome.",
        "nobody  not cancelled: neither in flight nor finished.",
    ]
    assert (meta(waiting)["by"], meta(waiting)["note"]) == ("ann", "wrong list")


def test_the_filter_is_told_first_and_goes_on_after_an_interruption(owner: int) -> None:
    probe.add.enqueue_many([(n, n) for n in range(60)])
    other = probe.report.delay("journal")
    claim(Message.objects.filter(task="reporting.probe_add")[0].pk, epoch=1, owner=owner, pid=7)

    code, output = command("--task", "reporting.probe_add", "--dry-run")
    assert (code, Message.objects.count()) == (0, 61)
    assert "1 of them runs already, and would run on" in output
    with pytest.raises(CommandError, match="nobody to ask"):
        command("--task", "reporting.probe_add")
    assert Message.objects.count() == 61

    code, output = command("--task", "reporting.probe_add", "--state", "pending", "--yes", "--json")
    assert json.loads(output)["done"] == {"cancelled": 59}
    code, output = command("--task", "reporting.probe_add", "--yes")
    assert "cancelled while running, runs on for nothing" in output
    assert Message.objects.get().pk == other.id
    assert audit().balances


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ([], "say --all"),
        (["x", "--terminate", "--signal", "LOUD"], "Use TERM, INT, QUIT or KILL"),
        (["x", "--reason", "a\0b"], "--reason must be text"),
        (["--state", "SUCCESS", "--yes"], "no state of theirs"),
        (["--all", "--json"], "--dry-run or --yes"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_cure(task_id: str, arguments: list[str], cure: str) -> None:
    with pytest.raises(CommandError, match=cure):
        command(*arguments)
    assert Message.objects.get().pk == task_id
