"""However a body ends, its task comes to one outcome, and so does all that waits for it."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord
from celery.exceptions import Ignore
from django.contrib.auth.models import Group
from django.db import DatabaseError
from django_celery_results.models import ChordCounter, TaskResult

from project import celery_app
from routing.ledger import audit, claim, completion, lookup
from routing.ledger.tables import DeadLetter, Message
from routing.worker import hands, running
from routing.worker.strays import Strays
from routing.worker.task import Task
from tests import probe as typed_probe
from tests.inline import deliver, drain, outcomes, worker
from tests.services import DATABASE

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def owner() -> Iterator[int]:
    with worker() as owner:
        yield owner
        assert audit.audit().balances


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def status(result: Any) -> str:
    return str(TaskResult.objects.get(task_id=result.id).status)


def error(result: Any) -> str:
    message: str = json.loads(TaskResult.objects.get(task_id=result.id).result or "")["exc_message"][0]
    return message


def test_a_body_that_exits_has_failed() -> None:
    result = probe.leave.delay()
    drain()

    assert (status(result), error(result)) == ("FAILURE", "SystemExit: 3")


def test_a_body_that_runs_out_of_memory_has_failed() -> None:
    result = probe.need_too_much.delay()
    drain()

    assert status(result) == "FAILURE"


def test_a_retry_that_nothing_was_sent_for_is_one_by_the_tasks_policy(journal: Path) -> None:
    result = probe.raise_retry.delay(str(journal))
    drain()

    assert (status(result), error(result)) == ("FAILURE", "not by the book")
    assert journal.read_text().splitlines() == ["run", "run"]


def test_an_errback_that_cannot_be_sent_keeps_neither_the_failure_nor_the_other_errback_from_being_recorded() -> None:
    unsendable = probe.total.si([1]).set(queue="nowhere")
    result = probe.fail_for_good.apply_async(link_error=[unsendable, probe.total.si([2])])
    drain()

    assert status(result) == "FAILURE"
    assert ("SUCCESS", 2) in outcomes().values()


def test_a_link_that_cannot_be_sent_is_the_tasks_failure() -> None:
    result = probe.add.apply_async((1, 2), link=probe.total.s().set(queue="nowhere"))
    drain()

    assert status(result) == "FAILURE"
    assert "nowhere" in error(result)


def test_a_chord_whose_body_cannot_be_sent_fails_its_body_and_no_member() -> None:
    result = chord([probe.add.s(n, n) for n in range(2)])(probe.total.s().set(queue="nowhere"))
    drain()

    assert status(result) == "FAILURE"
    assert sorted(one.status for one in TaskResult.objects.all()) == ["FAILURE", "SUCCESS", "SUCCESS"]


def test_an_outcome_that_the_database_refuses_is_recorded_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    complete, refusals = completion.complete, list[str]()

    def refuse(fence: Any, outcome: Any, sent: Any, **options: Any) -> bool:
        if outcome.traceback:
            refusals.append(outcome.status)
            raise DatabaseError("no such thing can be stored")
        return complete(fence, outcome, sent, **options)

    monkeypatch.setattr(running, "complete", refuse)
    result = probe.fail_for_good.delay()
    drain()

    assert (status(result), refusals) == ("FAILURE", ["FAILURE"])
    assert "worker's log" in str(DeadLetter.objects.get().error)


def test_a_run_that_nobody_ended_is_given_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery swallows what goes wrong between a body and its outcome, and acks."""
    result = probe.fail_for_good.delay()
    with monkeypatch.context() as broken:
        broken.setattr(running, "complete", lambda *_, **__: 1 / 0)
        with pytest.warns(RuntimeWarning, match="division by zero"):
            deliver(Message.objects.get())

    message = Message.objects.get()
    assert (message.owner, message.epoch, message.state) == (None, 2, "PENDING")
    drain()
    assert status(result) == "FAILURE"


# --- Ignoring and replacing ----------------------------------------------------------------------------------------


def test_an_atomic_task_that_is_ignored_keeps_its_effects() -> None:
    result = probe.take_effect_and_ignore.delay()
    drain()

    assert status(result) == "IGNORED"
    assert Group.objects.count() == 1
    assert ("SUCCESS", 2) in outcomes().values()


def test_an_atomic_task_that_is_replaced_keeps_its_effects() -> None:
    result = probe.take_effect_and_be_replaced.delay()
    drain()

    assert outcomes() == {result.id: ("SUCCESS", 3)}
    assert Group.objects.count() == 1


@pytest.mark.parametrize("link", ["ignore", "fail_silently", "fail_for_good"])
@pytest.mark.parametrize("position", [0, 1])
def test_what_waits_for_a_chain_in_its_place_ends_with_the_chain(link: str, position: int) -> None:
    links = [probe.add.si(1, 1), probe.add.si(1, 1), probe.add.si(1, 1)]
    links[position] = getattr(probe, link).si()
    result = probe.become.delay(links)
    drain()

    assert status(result) == ("IGNORED" if link == "ignore" else "FAILURE")
    assert not Message.objects.exists()


def test_what_waits_for_a_chain_in_its_place_ends_when_a_link_is_cancelled() -> None:
    result = probe.become.delay([probe.add.si(1, 1), probe.add.si(1, 1)])
    deliver(Message.objects.get())
    first = Message.objects.exclude(pk=result.id).get()
    probe.add.app.control.revoke(first.id)

    assert status(result) == "REVOKED"
    assert not Message.objects.exists()


def test_progress_shown_for_another_task_does_not_end_its_waiting() -> None:
    result = probe.become.delay([probe.add.si(1, 1), probe.add.si(2, 2)])
    deliver(Message.objects.get())
    probe.shout_at.delay(result.id)
    drain()

    assert outcomes()[result.id] == ("SUCCESS", 4)


@pytest.mark.parametrize("state", ["REPLACED", "", "x" * 51])
def test_a_state_of_the_ledgers_own_cannot_be_shown(state: str) -> None:
    with pytest.raises(ValueError, match="a word of your own"):
        probe.add.backend.store_result("some id", None, state)


# --- Chords ---------------------------------------------------------------------------------------------------------


MEMBERS: dict[str, Callable[[], Any]] = {
    "ignored": lambda: probe.ignore.si(),
    "fails at commit": lambda: probe.break_at_commit.si(),
    "declares its failure": lambda: probe.declare_itself.si("FAILURE", "no"),
    "declares its success": lambda: probe.declare_itself.si("SUCCESS", "yes"),
    "a chain whose first link is ignored": lambda: chain(probe.ignore.si(), probe.add.si(1, 1)),
    "a chain whose first link fails without a result": lambda: chain(probe.fail_silently.si(), probe.add.si(1, 1)),
    "its result cannot be sent on": lambda: probe.add.si(1, 1).set(link=probe.total.s().set(queue="nowhere")),
}


@pytest.mark.parametrize("member", MEMBERS)
def test_a_chord_ends_whatever_becomes_of_a_member(member: str) -> None:
    result = chord([MEMBERS[member](), probe.add.si(1, 1)])(probe.rebuild.si("body"))
    drain()

    is_failure = member not in ("ignored", "declares its success", "a chain whose first link is ignored")
    assert status(result) == ("FAILURE" if is_failure else "SUCCESS")
    assert not ChordCounter.objects.exists()


def test_a_chord_whose_first_member_fails_ends_with_its_last_ones_success() -> None:
    last = probe.add.si(1, 1)
    result = chord([probe.fail_for_good.si(), last])(probe.rebuild.si("body"))
    drain()

    assert status(result) == "FAILURE"
    assert sorted(one.status for one in TaskResult.objects.all()) == ["FAILURE", "FAILURE", "SUCCESS"]


def test_a_chord_ends_when_a_member_is_cancelled() -> None:
    result = chord([chain(probe.add.si(1, 1), probe.add.si(2, 2)), probe.add.si(1, 1)])(probe.rebuild.si("body"))
    probe.add.app.control.revoke(Message.objects.order_by("created_at")[0].id)
    drain()

    assert status(result) == "FAILURE"
    assert not ChordCounter.objects.exists()


# --- Tasks that go their own way ------------------------------------------------------------------------------------


class Headstrong(Task):
    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Claims nothing."""


class Reluctant(Task):
    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        super().before_start(task_id, args, kwargs)
        raise Ignore


class Unruly(Task):
    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)


def added(first: int, second: int) -> int:
    return first + second


@pytest.fixture
def declare() -> Iterator[Callable[[type[Task]], Any]]:
    """A task of that class, for this test only: the system checks warn of such classes."""
    name = "reporting.test_own_way"
    yield lambda base: celery_app.task(name=name, base=base, shared=False)(added)
    celery_app.tasks.pop(name)


def test_a_task_class_that_overrides_before_start_is_claimed_all_the_same(declare: Callable[..., Any]) -> None:
    result = declare(Headstrong).delay(1, 2)
    copy = Message.objects.get()
    drain()
    deliver(copy)

    assert outcomes() == {result.id: ("SUCCESS", 3)}


def test_a_task_class_whose_before_start_wants_nothing_of_it_is_ignored(declare: Callable[..., Any]) -> None:
    result = declare(Reluctant).delay(1, 2)
    drain()

    assert outcomes() == {result.id: ("IGNORED", None)}


def test_a_task_class_that_overrides_the_call_is_settled_all_the_same(declare: Callable[..., Any]) -> None:
    result = declare(Unruly).apply_async((1, 2), link=probe.add.s(10))
    drain()

    assert outcomes()[result.id] == ("SUCCESS", 3)
    assert ("SUCCESS", 13) in outcomes().values()


# --- The database gives way -----------------------------------------------------------------------------------------


@pytest.mark.skipif(DATABASE != "postgresql", reason="SQLite has no deadlocks")
def test_a_deadlock_is_not_the_tasks_fault(journal: Path) -> None:
    result = probe.give_way.delay(str(journal))
    drain()

    assert outcomes() == {result.id: ("SUCCESS", 2)}
    assert json.loads(TaskResult.objects.get().meta or "")["runs"] == 1
    assert Group.objects.count() == 1


def test_a_claim_that_fails_gives_the_message_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been committed before it failed."""
    result, real = probe.add.delay(1, 2), claim.claim

    def fail(*args: Any, **options: Any) -> Any:
        real(*args, **options)
        raise RuntimeError("what nobody has thought of")

    with monkeypatch.context() as broken:
        broken.setattr(claim, "claim", fail)
        deliver(Message.objects.get())

    message = Message.objects.get()
    assert (message.owner, message.runs, message.epoch) == (None, 0, 2)
    assert "nobody has thought of" in str(message.error)
    drain()
    assert outcomes() == {result.id: ("SUCCESS", 3)}


def test_a_copy_of_what_this_process_is_at_work_on_is_not_run() -> None:
    probe.add.delay(1, 2)
    message = Message.objects.get()
    hands.begin(message.id)

    deliver(message)

    hands.end(message.id)
    assert (Message.objects.get().owner, Message.objects.get().state) == (None, "PENDING")


def test_what_no_process_is_at_work_on_is_found_by_the_second_look(owner: int, monkeypatch: pytest.MonkeyPatch) -> None:
    probe.add.delay(1, 2)
    message = Message.objects.get()
    claim.claim(message.id, epoch=1, owner=owner, pid=2**22)
    monkeypatch.setattr("routing.worker.strays.LOOK_EVERY", 0.0)
    monkeypatch.setattr("routing.worker.strays.LOOK_SHARE", 0.0)
    strays = Strays(owner)

    assert [strays.look(), strays.look(), strays.look()] == [0, 1, 0]
    assert lookup.in_flight(message.id).owner is None  # type: ignore[union-attr]


def test_what_a_process_is_at_work_on_is_left_to_it(owner: int, monkeypatch: pytest.MonkeyPatch) -> None:
    probe.add.delay(1, 2)
    message = Message.objects.get()
    claim.claim(message.id, epoch=1, owner=owner, pid=os.getpid())
    monkeypatch.setattr("routing.worker.strays.LOOK_EVERY", 0.0)
    monkeypatch.setattr("routing.worker.strays.LOOK_SHARE", 0.0)
    strays = Strays(owner)
    hands.begin(message.id)

    assert [strays.look(), strays.look()] == [0, 0]

    hands.end(message.id)
