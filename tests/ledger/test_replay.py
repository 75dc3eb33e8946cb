"""Replay and discard: new ids all the way, links between old and new, and one decision however many ask for it."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from celery import chain, chord, group
from django.db import connections
from django_celery_results.models import ChordCounter, TaskResult

from routing.ledger import audit, typed
from routing.ledger.replay import DECIDED, DISCARDED, NO_QUEUE, NO_TASK, REPLAYED, discard, replay
from routing.ledger.results import read_meta
from routing.ledger.selection import Selection
from routing.ledger.tables import DeadLetter, Message, Outbox, UniqueKey
from tests import probe as typed_probe
from tests.inline import deliver, drain, outcomes, worker

probe: Any = typed_probe

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def owner() -> Iterator[int]:
    with worker() as owner:
        yield owner
        assert audit.audit().balances


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """Until it exists, ``reporting.probe_fail_until`` fails."""
    return tmp_path / "mended"


def letter(**fields: Any) -> DeadLetter:
    return DeadLetter.objects.get(**fields)


def replayed(by: str = "ada", **fields: Any) -> str:
    """Replay the dead letter, and return the new task's id."""
    found = letter(**fields)
    assert replay([found.pk], by=by) == {REPLAYED: 1}
    found.refresh_from_db()
    return found.replayed_as


def meta(task_id: str) -> dict[str, Any]:
    return read_meta(TaskResult.objects.get(task_id=task_id))


def collected(**fields: Any) -> DeadLetter:
    """As from a dead-letter queue of RabbitMQ's."""
    known = {
        "task_id": str(uuid4()),
        "task": "reporting.probe_add",
        "domain": "reporting",
        "queue": "reporting",
        "headers": typed.dumps({"id": "x", "task": "reporting.probe_add"}),
        "body": "",
        "raw": b"[[1, 2], {}, {}]",
        "reason": "unknown",
        "source": "reporting.dead",
    }
    return DeadLetter.objects.create(**known | fields)


# --- One task -----------------------------------------------------------------------------------------------------


def test_a_failed_task_is_enqueued_anew_and_both_know_of_each_other(flag: Path) -> None:
    failed = probe.fail_until.delay(str(flag), 7)
    drain()
    flag.touch()

    new_id = replayed()
    message = Message.objects.get()
    assert message.pk == new_id != failed.id
    assert (message.attempt, message.runs, message.epoch, message.root_id) == (1, 0, 1, new_id)
    assert Outbox.objects.filter(message_id=new_id, epoch=1).count() == 1
    drain()

    assert outcomes()[new_id] == ("SUCCESS", 7)
    assert meta(new_id)["replay_of"] == failed.id
    assert meta(failed.id)["replayed_as"] == new_id
    assert (letter().state, letter().decided_by) == ("replayed", "ada")
    event = json.loads(letter().history)[-1]
    assert (event["event"], event["by"], event["as"]) == ("replayed", "ada", new_id)
    assert TaskResult.objects.get(task_id=failed.id).status == "FAILURE", "an outcome never changes"


def test_a_replay_that_fails_again_is_a_dead_letter_of_its_own_and_can_be_replayed(flag: Path) -> None:
    probe.fail_until.delay(str(flag), 7)
    drain()
    second = replayed()
    drain()
    flag.touch()

    third = replayed(task_id=second)
    drain()

    assert outcomes()[third] == ("SUCCESS", 7)
    assert (meta(second)["replay_of"], meta(second)["replayed_as"]) == (letter(replayed_as=second).task_id, third)


def test_a_replay_that_retries_still_knows_what_it_is_a_replay_of(tmp_path: Path) -> None:
    original = probe.succeed_at_third_run.delay(str(tmp_path / "journal"))
    Message.objects.update(runs=5)
    deliver(Message.objects.get())
    assert letter().reason == "poison"

    new_id = replayed()
    drain()

    assert outcomes()[new_id] == ("SUCCESS", 3)
    assert meta(new_id)["replay_of"] == original.id


def test_the_runs_of_a_poison_task_count_anew() -> None:
    probe.add.delay(1, 2)
    Message.objects.update(runs=5)
    deliver(Message.objects.get())
    assert letter().reason == "poison"

    new_id = _drained(replayed())

    assert outcomes()[new_id] == ("SUCCESS", 3)


def test_a_task_that_may_start_only_once_starts_once_more() -> None:
    probe.start_once.delay("nowhere")
    Message.objects.update(runs=1)
    deliver(Message.objects.get())
    assert letter().reason == "crashed"

    replayed()

    assert Message.objects.get().at_most_once


def test_a_replay_neither_expires_with_the_old_time_nor_waits_for_the_old_moment(flag: Path) -> None:
    probe.fail_until.apply_async((str(flag), 1), expires=3600, countdown=0.1)
    drain()

    replayed()

    message = Message.objects.get()
    assert message.expires_at is None
    assert message.due_at <= message.created_at


def test_the_key_of_a_unique_task_stays_with_whoever_has_it_now() -> None:
    first = probe.rebuild.delay("index")
    Message.objects.update(runs=5)
    deliver(Message.objects.get())
    second = probe.rebuild.delay("index")

    new_id = replayed(task_id=first.id)

    assert UniqueKey.objects.get().task_id == second.id
    assert set(Message.objects.values_list("pk", flat=True)) == {second.id, new_id}


# --- Decisions -----------------------------------------------------------------------------------------------------


def test_of_two_who_replay_at_once_one_wins(flag: Path) -> None:
    probe.fail_until.delay(str(flag), 7)
    drain()
    key, together, found = letter().pk, Barrier(2), []

    def decide(decision: Any) -> None:
        together.wait()
        found.append(decision([key], by="somebody"))
        connections.close_all()

    threads = [Thread(target=decide, args=[decision]) for decision in (replay, replay)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(dict, found), key=str) == [{DECIDED: 1}, {REPLAYED: 1}]
    assert Message.objects.count() == 1


def test_a_decision_is_made_once_but_what_was_discarded_may_be_replayed(flag: Path) -> None:
    probe.fail_until.delay(str(flag), 7)
    drain()
    key = letter().pk

    assert discard([key], by="ada") == {DISCARDED: 1}
    assert discard([key], by="bob") == {DECIDED: 1}
    assert (letter().state, letter().decided_by) == ("discarded", "ada")
    assert replay([key], by="bob") == {REPLAYED: 1}
    assert replay([key], by="ada") == discard([key], by="ada") == {DECIDED: 1}
    assert [event["by"] for event in json.loads(letter().history)] == ["ada", "bob"]


def test_more_than_fit_into_memory_are_replayed_in_parts(flag: Path) -> None:
    probe.fail_until.enqueue_many([(str(flag), number) for number in range(120)])
    drain(runs=121)
    keys = [*DeadLetter.objects.values_list("pk", flat=True), 10**9]

    assert replay(keys, by="ada") == {REPLAYED: 120, DECIDED: 1}
    new = set(Message.objects.values_list("pk", flat=True))
    assert len(new) == Outbox.objects.filter(message_id__in=new).count() == 120


# --- What follows ----------------------------------------------------------------------------------------------------


def test_the_rest_of_a_chain_comes_under_new_ids(flag: Path) -> None:
    result: Any = chain(probe.fail_until.s(str(flag), 1), probe.add.s(10), probe.add.s(100)).delay()
    drain()
    old = {result.id, result.parent.id, result.parent.parent.id}
    assert {outcomes()[task_id][0] for task_id in old} == {"FAILURE"}
    flag.touch()

    drained = _drained(replayed())

    new = {task_id: outcome for task_id, outcome in outcomes().items() if task_id not in old}
    assert sorted(new.values()) == [("SUCCESS", 1), ("SUCCESS", 11), ("SUCCESS", 111)]
    assert new[drained] == ("SUCCESS", 1)
    assert new[meta(result.id)["replayed_as"]] == ("SUCCESS", 111), "the old end of the chain leads to the new one"
    assert new[meta(result.parent.id)["replayed_as"]] == ("SUCCESS", 11)


def test_links_follow_the_replay_and_errbacks_do_when_it_fails_again(flag: Path) -> None:
    send = {"link": probe.add.s(1), "link_error": probe.total.si([5])}
    probe.fail_until.apply_async((str(flag), 1), **send)
    drain()
    assert list(outcomes().values()).count(("SUCCESS", 5)) == 1
    second = _drained(replayed())
    assert list(outcomes().values()).count(("SUCCESS", 5)) == 2
    flag.touch()

    _drained(replayed(task_id=second))

    assert list(outcomes().values()).count(("SUCCESS", 2)) == 1


def test_a_chord_further_down_the_chain_is_a_new_chord(flag: Path) -> None:
    flow = chain(
        probe.fail_until.s(str(flag), 1), group(probe.add.s(1), probe.add.s(2)), probe.total.s(), probe.add.s(100)
    )
    result: Any = flow.delay()
    drain()
    assert outcomes()[result.id][0] == "FAILURE"
    flag.touch()

    replayed()
    drain()

    assert outcomes()[meta(result.id)["replayed_as"]] == ("SUCCESS", 105)
    assert not ChordCounter.objects.exists()


# --- Chords ----------------------------------------------------------------------------------------------------------


def test_a_member_takes_its_place_again_in_a_chord_that_still_waits(flag: Path) -> None:
    result: Any = chord([probe.fail_until.s(str(flag), 1), probe.add.s(2, 3)])(probe.total.s())
    failing = Message.objects.get(task="reporting.probe_fail_until")
    deliver(failing)
    flag.touch()

    new_id = replayed()
    assert ChordCounter.objects.get().count == 2
    drain()

    assert outcomes()[result.id] == ("SUCCESS", 6)
    assert outcomes()[new_id] == ("SUCCESS", 1)
    assert not ChordCounter.objects.exists()


def test_a_member_that_is_a_chain_takes_its_place_again(flag: Path) -> None:
    result: Any = chord([chain(probe.fail_until.s(str(flag), 1), probe.add.s(10)), probe.add.s(2, 3)])(probe.total.s())
    deliver(Message.objects.get(task="reporting.probe_fail_until"))
    flag.touch()

    replayed()
    drain()

    assert outcomes()[result.id] == ("SUCCESS", 16)


def test_a_member_of_a_chord_that_is_over_runs_by_itself(flag: Path) -> None:
    result: Any = chord([probe.fail_until.s(str(flag), 1), probe.add.s(2, 3)])(probe.total.s())
    drain()
    assert outcomes()[result.id][0] == "FAILURE"
    before = len(outcomes())
    flag.touch()

    new_id = _drained(replayed())

    assert outcomes()[new_id] == ("SUCCESS", 1)
    assert outcomes()[result.id][0] == "FAILURE"
    assert len(outcomes()) == before + 1, "the chord's body does not come again"


def test_a_chain_whose_chord_is_over_runs_to_its_end_by_itself(flag: Path) -> None:
    result: Any = chord([chain(probe.fail_until.s(str(flag), 1), probe.add.s(10)), probe.add.s(2, 3)])(probe.total.s())
    drain()
    assert outcomes()[result.id][0] == "FAILURE"
    flag.touch()

    replayed()
    drain()

    assert ("SUCCESS", 11) in outcomes().values()
    assert outcomes()[result.id][0] == "FAILURE"


def test_a_member_that_fails_again_fails_its_chord_once(flag: Path) -> None:
    result: Any = chord([probe.fail_until.s(str(flag), 1), probe.add.s(2, 3)])(probe.total.s())
    deliver(Message.objects.get(task="reporting.probe_fail_until"))

    replayed()
    drain()

    assert outcomes()[result.id][0] == "FAILURE"
    assert not ChordCounter.objects.exists()


def test_two_members_of_one_chord_are_replayed_together(flag: Path) -> None:
    members = [probe.fail_until.s(str(flag), number) for number in (1, 2)]
    result: Any = chord([*members, probe.add.s(2, 3)])(probe.total.s())
    for failing in Message.objects.filter(task="reporting.probe_fail_until"):
        deliver(failing)
    flag.touch()

    assert replay(list(DeadLetter.objects.values_list("pk", flat=True)), by="ada") == {REPLAYED: 2}
    drain()

    assert outcomes()[result.id] == ("SUCCESS", 8)


def test_a_member_whose_outcome_the_ledger_has_lost_does_not_count_twice() -> None:
    """As after an older backup: its chord still waits for it, and its message is with RabbitMQ alone."""
    result: Any = chord([probe.add.s(1, 1), probe.add.s(2, 3)])(probe.total.s())
    lost = Message.objects.order_by("created_at").first()
    assert lost is not None
    headers = typed.dumps({**json.loads(lost.headers), "taskyard_epoch": 1})
    collected(task_id=lost.pk, raw=lost.body.encode(), headers=headers, reason="lost")
    # With its place in the books.
    discard_from_books(lost)

    replayed()
    drain()

    assert outcomes()[result.id] == ("SUCCESS", 7)


# --- What came from RabbitMQ ------------------------------------------------------------------------------------------


def test_what_another_program_sent_is_enqueued_without_what_only_rabbitmq_understands() -> None:
    headers = {"id": "x", "task": "reporting.probe_add", "x-death": [{"count": 1}], "tenant": b"a"}
    properties = {"expiration": "5", "user_id": "guest", "priority": 3, "delivery_mode": 1}
    collected(task_id="x", headers=typed.dumps(headers), properties=typed.dumps(properties))

    new_id = replayed()

    message = Message.objects.get()
    sent = json.loads(message.headers)
    assert (sent["id"], sent["tenant"], sent["taskyard_replay_of"]) == (new_id, "a", "x")
    assert "x-death" not in sent
    assert json.loads(message.properties) == {"priority": 3, "correlation_id": new_id}
    drain()
    assert outcomes()[new_id] == ("SUCCESS", 3)


def test_numbers_for_ids_are_replayed_as_text_and_keep_nobody_else_from_it() -> None:
    headers = {"id": 17, "task": "reporting.probe_add", "root_id": 17, "parent_id": 5}
    keys = [collected(task_id="17", headers=typed.dumps(headers)).pk, collected().pk]

    assert replay(keys, by="ada") == {REPLAYED: 2}

    message = Message.objects.get(parent_id="5")
    assert message.root_id == message.pk
    assert json.loads(message.headers).items() >= {"root_id": message.pk, "parent_id": "5"}.items()
    drain()
    assert len(outcomes()) == 2


def test_what_was_misrouted_goes_to_its_tasks_own_queue() -> None:
    collected(queue="reportign", domain="", reason="misrouted", source="taskyard.unrouted")

    replayed()

    assert (Message.objects.get().queue, Message.objects.get().domain) == ("reporting", "reporting")


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"raw": b"\xff"}, NO_TASK),
        ({"raw": b"{}"}, NO_TASK),
        ({"raw": b"[1, 2, 3]"}, NO_TASK),
        ({"raw": b"[" * 100_000}, NO_TASK),
        ({"queue": "", "task": ""}, NO_QUEUE),
        ({"queue": "", "task": "billing.charge"}, NO_QUEUE),
    ],
)
def test_what_no_worker_could_run_is_left_as_it_is(fields: dict[str, Any], outcome: str) -> None:
    found = collected(**fields)

    assert replay([found.pk], by="ada") == {outcome: 1}

    assert letter().state == "open"
    assert not Message.objects.exists()


def test_one_that_cannot_be_replayed_keeps_no_other_from_it() -> None:
    keys = [collected(raw=b"\xff").pk, collected().pk]

    assert replay(keys, by="ada") == {NO_TASK: 1, REPLAYED: 1}


def test_dead_letters_are_chosen_by_number_task_id_state_and_error() -> None:
    first = collected(error="ConnectionError: 10.0.0.1")
    second = collected(state="discarded", task_id="12")
    at = letter(pk=second.pk).dead_at

    def chosen(**fields: Any) -> set[int]:
        return set(Selection(**fields).dead_letters(at=at).values_list("pk", flat=True))

    assert chosen(ids=(str(first.pk),)) == {first.pk}
    assert chosen(ids=("12",)) == {second.pk} | ({first.pk} if first.pk == 12 else set())
    assert chosen(ids=("9" * 30, "²")) == set()
    assert chosen(state="open") == {first.pk}
    assert chosen(error="connectionerror") == {first.pk}


def _drained(task_id: str) -> str:
    drain()
    return task_id


def discard_from_books(message: Message) -> None:
    from routing.ledger.tables import Tally

    message.delete()
    Outbox.objects.filter(message_id=message.pk).delete()
    Tally.objects.create(domain=message.domain, accepted=-1)
