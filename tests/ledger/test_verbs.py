"""Claim, settle and reschedule: conditional statements whose row count decides."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import DataError
from django.utils import timezone
from django_celery_results.models import TaskResult

from project import celery_app
from routing.ledger import adoption, database, processes, reschedule
from routing.ledger.audit import audit
from routing.ledger.claim import Claim, Refusal, claim, drop_doubled
from routing.ledger.enqueue import Envelope, enqueue
from routing.ledger.settle import Fence, settle, store_aside
from routing.ledger.tables import DeadLetter, Message, Outbox, Process, Tally
from routing.worker.backend import request_of
from routing.worker.running import Run
from tests import probe as typed_probe
from tests.stored_results import SUCCESS

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = pytest.mark.django_db(transaction=True)

DONE = replace(SUCCESS, result="3", args="[1, 2]", worker="w")


@pytest.fixture
def task_id() -> str:
    return str(probe.add.delay(1, 2).id)


@pytest.fixture
def owner() -> int:
    return processes.register(Process.Role.WORKER, "w")


@pytest.fixture
def other() -> int:
    return processes.register(Process.Role.WORKER, "other")


def fence(task_id: str, owner: int | None, *, epoch: int = 1, pid: int | None = None) -> Fence:
    return Fence(task_id=task_id, epoch=epoch, owner=owner, pid=pid)


def envelope(task_id: str, **changes: Any) -> Envelope:
    message = Message.objects.get(pk=task_id)
    names = ("id", "task", "domain", "queue", "headers", "properties", "body")
    return Envelope(**{name: getattr(message, name) for name in names}, attempt=message.attempt + 1)._replace(**changes)


def sums(column: str) -> int:
    return sum(Tally.objects.values_list(column, flat=True))


def die(process: int) -> None:
    Process.objects.filter(pk=process).update(dead_at=timezone.now())


def test_a_claim_shows_who_runs_it_since_when(task_id: str, owner: int) -> None:
    assert claim(task_id, epoch=1, owner=owner, pid=7) == Claim(runs=1)

    message = Message.objects.get(pk=task_id)
    assert (message.state, message.owner, message.pid) == ("STARTED", owner, 7)
    assert message.started_at is not None
    assert message.started_at >= message.created_at


def test_what_a_living_worker_runs_is_not_run_twice(task_id: str, owner: int, other: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)

    assert claim(task_id, epoch=1, owner=other, pid=8) is Refusal.OWNED
    assert claim(task_id, epoch=1, owner=owner, pid=9) is Refusal.OWNED


def test_a_claim_whose_answer_was_lost_is_made_again_and_counts_once(owner: int) -> None:
    """Also by a task that may start only once: its body has not begun."""
    for result in (probe.add.delay(1, 2), probe.start_once.delay("journal")):
        task_id = result.id

        assert claim(task_id, epoch=1, owner=owner, pid=7) == Claim(runs=1)
        assert claim(task_id, epoch=1, owner=owner, pid=7) == Claim(runs=1)


def test_what_has_ended_too_often_with_its_process_is_poison(task_id: str, owner: int) -> None:
    for epoch in (1, 2):
        claim(task_id, epoch=epoch, owner=owner, pid=7, run_limit=2)
        reschedule.release(fence(task_id, owner, epoch=epoch), error="it died")

    assert claim(task_id, epoch=3, owner=owner, pid=7, run_limit=2) is Refusal.POISON


def test_a_run_that_did_not_begin_does_not_count(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    reschedule.release(fence(task_id, owner), error="the database went away", counted=False)

    assert claim(task_id, epoch=2, owner=owner, pid=7) == Claim(runs=1)


@pytest.mark.parametrize("is_gone", [False, True])
def test_what_a_dead_worker_ran_is_run_by_another(task_id: str, owner: int, other: int, *, is_gone: bool) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    if is_gone:
        processes.leave(owner)
    else:
        die(owner)

    assert claim(task_id, epoch=1, owner=other, pid=8) == Claim(runs=2)
    assert not settle(fence(task_id, owner), DONE)
    assert settle(fence(task_id, other), DONE)


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_copy_of_another_epoch_is_refused(task_id: str, owner: int, epoch: int) -> None:
    assert claim(task_id, epoch=epoch, owner=owner, pid=7) is Refusal.STALE


def test_what_has_expired_is_refused(owner: int) -> None:
    result = probe.add.apply_async((1, 2), expires=-1)

    assert claim(result.id, epoch=1, owner=owner, pid=7) is Refusal.EXPIRED


def test_a_task_that_may_start_once_does_not_start_again(owner: int, other: int) -> None:
    result = probe.start_once.delay("nowhere")
    assert claim(result.id, epoch=1, owner=owner, pid=7) == Claim(runs=1)
    die(owner)

    assert claim(result.id, epoch=1, owner=other, pid=8) is Refusal.STARTED_ONCE


def test_a_finished_task_is_refused_and_an_unknown_one_named(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    settle(fence(task_id, owner), DONE)

    assert claim(task_id, epoch=1, owner=owner, pid=7) is Refusal.FINISHED
    assert claim("unheard of", epoch=1, owner=owner, pid=7) is Refusal.UNKNOWN


def test_an_outcome_comes_from_the_deleted_row(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    message = Message.objects.get(pk=task_id)

    assert settle(fence(task_id, owner), DONE)

    row = TaskResult.objects.get(task_id=task_id)
    assert (row.status, row.result, row.task_name, row.worker) == ("SUCCESS", "3", "reporting.probe_add", "w")
    assert (row.date_created, row.date_started) == (message.created_at, message.started_at)
    assert row.date_done >= row.date_started
    assert not Message.objects.exists()
    assert [sums("accepted"), sums("finished")] == [1, 1]


@pytest.mark.parametrize("delay", [timedelta(), timedelta(minutes=30)])
def test_an_outcome_tells_when_its_task_was_due_if_it_was_delayed(task_id: str, owner: int, delay: timedelta) -> None:
    created_at = Message.objects.get(pk=task_id).created_at - timedelta(hours=1)
    Message.objects.filter(pk=task_id).update(created_at=created_at, due_at=created_at + delay)
    claim(task_id, epoch=1, owner=owner, pid=7)

    assert settle(fence(task_id, owner), DONE)

    told = json.loads(TaskResult.objects.get(task_id=task_id).meta).get("due_at")
    assert (datetime.fromisoformat(told) if told else None) == (created_at + delay if delay else None)


def test_a_second_outcome_is_discarded_with_all_that_follows(task_id: str, owner: int) -> None:
    following = envelope(task_id, id="next")
    claim(task_id, epoch=1, owner=owner, pid=7)
    assert settle(fence(task_id, owner), DONE)

    assert not settle(fence(task_id, owner), replace(DONE, status="FAILURE", dead_letter="failed"), [following])

    assert TaskResult.objects.get(task_id=task_id).status == "SUCCESS"
    assert not Message.objects.exists()
    assert not DeadLetter.objects.exists()


def test_what_follows_is_enqueued_with_the_outcome(task_id: str, owner: int) -> None:
    following = [envelope(task_id, id="next"), envelope(task_id, id="after")]
    claim(task_id, epoch=1, owner=owner, pid=7)

    assert settle(fence(task_id, owner), DONE, following)

    assert set(Message.objects.values_list("pk", flat=True)) == {"next", "after"}
    assert set(Outbox.objects.exclude(message_id=task_id).values_list("message_id", flat=True)) == {"next", "after"}


def test_of_one_id_twice_in_what_follows_the_first_is_enqueued(task_id: str, owner: int) -> None:
    following = [envelope(task_id, id=name, body=body) for name, body in [("a", "1"), ("next", "2"), ("next", "3")]]
    claim(task_id, epoch=1, owner=owner, pid=7)

    assert settle(fence(task_id, owner), DONE, following)

    assert dict(Message.objects.values_list("pk", "body")) == {"a": "1", "next": "2"}
    assert Outbox.objects.filter(message_id="next").count() == 1
    assert sums("accepted") == 3


def test_the_end_of_a_chain_that_is_sent_twice_takes_its_row_once(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    end = envelope(task_id)
    reschedule.set_aside(fence(task_id, owner))

    assert enqueue([end._replace(body="1"), end._replace(body="2")]) == {task_id}

    message = Message.objects.get(pk=task_id)
    assert (message.body, message.state, message.epoch) == ("1", "PENDING", 3)
    assert Outbox.objects.filter(epoch=3).count() == 1


def test_a_failure_keeps_the_message_as_it_was(task_id: str, owner: int) -> None:
    message = Message.objects.get(pk=task_id)
    claim(task_id, epoch=1, owner=owner, pid=7)

    settle(fence(task_id, owner), replace(DONE, status="FAILURE", dead_letter="failed", error="Bad: no"))

    letter = DeadLetter.objects.get(task_id=task_id)
    assert (letter.body, letter.headers, letter.queue) == (message.body, message.headers, message.queue)
    assert (letter.reason, letter.error, letter.runs) == ("failed", "Bad: no", 1)


def test_a_lost_claim_does_not_cost_the_outcome(task_id: str, owner: int) -> None:
    """A database that crashed may have forgotten the claim, which commits asynchronously."""
    assert settle(fence(task_id, owner), DONE)


def test_another_child_of_the_same_worker_cannot_settle(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)

    assert not settle(fence(task_id, owner, pid=8), DONE)
    assert settle(fence(task_id, owner, pid=7), DONE)


def test_a_retry_makes_a_new_epoch_and_a_publication(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)

    assert reschedule.retry(fence(task_id, owner), envelope(task_id, due=60.0), error="busy")

    message = Message.objects.get(pk=task_id)
    assert (message.state, message.epoch, message.attempt, message.runs) == ("RETRY", 2, 2, 0)
    assert (message.owner, message.error) == (None, "busy")
    assert Outbox.objects.get(epoch=2).due_at == message.due_at > message.created_at
    assert not settle(fence(task_id, owner), DONE)
    assert not reschedule.retry(fence(task_id, owner), envelope(task_id), error="again")


@pytest.mark.parametrize("again", [partial(reschedule.retry, error="busy"), reschedule.replace])
@pytest.mark.parametrize("expires", [3600.0, timezone.now() + timedelta(hours=1)])
def test_what_runs_again_expires_as_it_asks_for_and_else_as_before(owner: int, again: Any, expires: Any) -> None:
    task_id = probe.add.apply_async((1, 2), expires=36_000).id
    before = Message.objects.get().expires_at

    assert again(fence(task_id, owner), envelope(task_id))
    assert Message.objects.get().expires_at == before

    assert again(fence(task_id, owner, epoch=2), envelope(task_id, due=30.0, expires=expires))
    message = Message.objects.get()
    assert message.due_at < message.expires_at < timezone.now() + timedelta(hours=2)  # type: ignore[operator]


def test_a_release_lets_it_run_again_and_counts_on(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)

    assert reschedule.release(fence(task_id, owner), error="died")
    assert not reschedule.release(fence(task_id, owner), error="died")

    assert claim(task_id, epoch=1, owner=owner, pid=7) is Refusal.STALE
    assert claim(task_id, epoch=2, owner=owner, pid=7) == Claim(runs=2)


def test_a_replacement_takes_its_place_and_stays_in_the_books_that_have_it(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    new = envelope(task_id, domain="maintenance", queue="maintenance", task="maintenance.cleanup", attempt=1)

    assert reschedule.replace(fence(task_id, owner), new)

    message = Message.objects.get(pk=task_id)
    assert (message.task, message.queue, message.domain) == ("maintenance.cleanup", "maintenance", "reporting")
    assert (message.state, message.epoch) == ("PENDING", 2)
    assert settle(fence(task_id, None, epoch=2), DONE)
    assert json.loads(TaskResult.objects.get().meta or "")["domain"] == "reporting"
    assert audit().balances


def test_a_row_that_waits_for_the_end_of_a_chain_is_taken_by_it(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    assert reschedule.set_aside(fence(task_id, owner))
    assert probe.add.AsyncResult(task_id).state == "PENDING"
    assert claim(task_id, epoch=2, owner=owner, pid=7) is Refusal.STALE

    probe.total.apply_async(([1],), task_id=task_id)

    message = Message.objects.get(pk=task_id)
    assert (message.task, message.state, message.epoch) == ("reporting.probe_sum", "PENDING", 3)
    assert sums("accepted") == 1


def test_a_row_that_waits_for_the_end_of_a_chain_gets_the_chains_failure(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    reschedule.set_aside(fence(task_id, owner))

    assert store_aside(task_id, replace(DONE, status="FAILURE"), task=None)

    assert not Message.objects.exists()
    assert TaskResult.objects.get(task_id=task_id).status == "FAILURE"


def test_no_result_is_put_beside_a_task_in_flight(task_id: str) -> None:
    assert not store_aside(task_id, replace(DONE, status="FAILURE"), task=None)

    assert not TaskResult.objects.exists()


def test_an_id_enqueued_while_its_outcome_was_being_recorded_is_dropped(task_id: str, owner: int) -> None:
    TaskResult.objects.create(task_id=task_id, status="SUCCESS")
    assert claim(task_id, epoch=1, owner=owner, pid=7) is Refusal.FINISHED

    assert drop_doubled(task_id)

    assert not Message.objects.exists()
    assert sums("accepted") == sums("finished") == sums("pruned") == 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_second_outcome_of_an_id_is_counted_as_gone_and_nothing_follows(task_id: str, owner: int, count: int) -> None:
    TaskResult.objects.create(task_id=task_id, status="SUCCESS", meta="{}")
    following = [envelope(task_id, id=f"following {number}") for number in range(count)]

    assert not settle(fence(task_id, owner), replace(DONE, status="FAILURE", dead_letter="failed"), following)

    assert not Message.objects.exists()
    assert not DeadLetter.objects.exists()
    assert TaskResult.objects.get().status == "SUCCESS"
    assert [sums("accepted"), sums("finished"), sums("pruned")] == [1, 1, 1]


def test_text_that_the_database_cannot_keep_is_refused_and_not_cut_short(task_id: str, owner: int) -> None:
    if not database.on_postgresql():
        pytest.skip("SQLite keeps NUL")

    with pytest.raises(DataError, match="NUL"):
        settle(fence(task_id, owner), replace(DONE, worker="w\0x"))

    assert Message.objects.get().pk == task_id


def test_a_foreign_message_is_adopted_once(task_id: str, owner: int) -> None:
    foreign = envelope(task_id, id="foreign", attempt=1)

    assert [adoption.adopt(foreign), adoption.adopt(foreign)] == [True, False]

    assert claim("foreign", epoch=adoption.EPOCH, owner=owner, pid=7) == Claim(runs=1)
    assert not Outbox.objects.filter(message_id="foreign").exists()
    assert not adoption.adopt(envelope(task_id))
    assert claim(task_id, epoch=adoption.EPOCH, owner=owner, pid=7) is Refusal.STALE


def test_progress_is_seen_while_it_runs(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    request = request_of(Message.objects.get(pk=task_id))
    request.ledger_run = Run(fence(task_id, owner))

    celery_app.backend.store_result(task_id, {"done": 3, "of": 7}, "PROGRESS", request=request)

    result = celery_app.AsyncResult(task_id)
    assert (result.state, result.result) == ("PROGRESS", {"done": 3, "of": 7})


def test_a_forgotten_result_stays_in_the_books(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)
    settle(fence(task_id, owner), DONE)
    result = celery_app.AsyncResult(task_id)
    assert result.get() == 3

    result.forget()

    assert not TaskResult.objects.exists()
    assert sums("pruned") == 1


def test_a_revocation_is_recorded_without_any_worker(task_id: str) -> None:
    celery_app.AsyncResult(task_id).revoke()

    row = TaskResult.objects.get(task_id=task_id)
    assert (row.status, json.loads(row.meta)["reason"]) == ("REVOKED", "revoked")
    assert not Message.objects.exists()


def test_what_runs_is_not_revoked_unless_it_is_terminated_too(task_id: str, owner: int) -> None:
    claim(task_id, epoch=1, owner=owner, pid=7)

    celery_app.AsyncResult(task_id).revoke()

    assert Message.objects.get(pk=task_id).state == "STARTED"
