"""Unique keys: one task in flight for each."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from celery import group
from django.db import connection, transaction
from django.utils import timezone

from routing.ledger import continuation, database, processes, retention
from routing.ledger.completion import complete
from routing.ledger.settle import Fence
from routing.ledger.tables import Message, Outbox, Process, UniqueKey
from routing.refusals import NotSerialisable, UniqueInCanvas
from routing.worker.chords import finish_chord
from tests import probe as typed_probe
from tests.ledger.test_verbs import DONE, sums
from tests.waiting import until

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_key_joins_the_task_in_flight() -> None:
    first = probe.add.apply_async((1, 2), unique_key="k")
    second = probe.add.apply_async((3, 4), unique_key="k")

    assert second.id == first.id
    assert Message.objects.count() == Outbox.objects.count() == 1


def test_a_key_is_the_tasks_own() -> None:
    probe.add.apply_async((1, 2), unique_key="k")
    probe.total.apply_async(([1],), unique_key="k")

    assert Message.objects.count() == 2


def test_an_outcome_frees_the_key() -> None:
    first = probe.add.apply_async((1, 2), unique_key="k")
    first.revoke()
    assert not UniqueKey.objects.exists()

    assert probe.add.apply_async((1, 2), unique_key="k").id != first.id


def test_a_key_with_a_period_outlasts_its_task() -> None:
    first = probe.add.apply_async((1, 2), unique_key="k", unique_for=timedelta(hours=1))
    first.revoke()
    assert probe.add.apply_async((1, 2), unique_key="k").id == first.id

    UniqueKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert probe.add.apply_async((1, 2), unique_key="k").id != first.id


def test_a_key_whose_period_is_over_holds_while_its_task_is_in_flight() -> None:
    first = probe.add.apply_async((1, 2), unique_key="k", unique_for=0.001)
    UniqueKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert probe.add.apply_async((1, 2), unique_key="k").id == first.id
    assert retention.preview(now=timezone.now())[retention.What("unique keys")] == 0


def test_a_rollback_gives_the_key_back() -> None:
    with transaction.atomic():
        probe.add.apply_async((1, 2), unique_key="k")
        transaction.set_rollback(True)

    assert not UniqueKey.objects.exists()


def test_a_task_that_has_an_id_already_cannot_join() -> None:
    with pytest.raises(UniqueInCanvas, match="by itself"):
        probe.add.apply_async((1, 2), unique_key="k", task_id="mine")
    with pytest.raises(UniqueInCanvas):
        group(probe.add.s(1, 2).set(unique_key="k"), probe.add.s(1, 2)).delay()

    assert not UniqueKey.objects.exists()


def test_a_task_unique_by_its_arguments() -> None:
    first = probe.rebuild.delay("index", note="one")

    assert probe.rebuild.delay("index", note="two").id == first.id
    assert probe.rebuild.delay("other", note="one").id != first.id


def test_of_many_calls_those_with_one_key_are_one_task() -> None:
    held = probe.rebuild.delay("held")

    results = probe.rebuild.enqueue_many([("new",), {"what": "held"}, ("new", "again"), ("other",)])

    new, joined, again, other = (result.id for result in results)
    assert (joined, again) == (held.id, new)
    assert set(Message.objects.values_list("pk", flat=True)) == {held.id, new, other}
    assert Outbox.objects.count() == UniqueKey.objects.count() == sums("accepted") == 3


def test_many_calls_with_one_key_are_one_task() -> None:
    results = probe.add.enqueue_many([(1, 2), (3, 4)], unique_key="k", unique_for=60)

    assert {result.id for result in results} == {Message.objects.get().pk}
    assert UniqueKey.objects.get().expires_at


def test_many_calls_that_fail_take_no_key() -> None:
    with pytest.raises(NotSerialisable):
        probe.rebuild.enqueue_many([("one",), ("two", object())])

    assert not UniqueKey.objects.exists()


def test_what_is_collected_takes_its_key_when_it_is_written() -> None:
    with continuation.apart() as sent:
        handle = probe.rebuild.delay("index", "link")
        assert probe.rebuild.delay("index", "link").id != handle.id

    assert not UniqueKey.objects.exists()
    assert len(sent.keys) == len(sent.envelopes) == 2


@pytest.fixture
def owner() -> int:
    return processes.register(Process.Role.WORKER, "w")


def ended(task_id: str, owner: int, *, epoch: int = 1) -> bool:
    """Settle a task with three of a link, which all want one key."""
    with continuation.apart() as sent:
        handles = [probe.rebuild.apply_async(("index",), unique_for=3600) for _ in range(3)]
    fence = Fence(task_id=task_id, epoch=epoch, owner=owner)
    won = complete(fence, DONE, sent, finish_chord=finish_chord)
    # Safe to call again, as where the connection was lost and nobody knows whether this took place.
    assert not complete(fence, DONE, sent, finish_chord=finish_chord)
    assert len({handle.id for handle in handles}) == (1 if won else 3)
    return won


def test_what_follows_an_outcome_takes_its_key_with_it(owner: int) -> None:
    first = probe.add.delay(1, 2)

    assert ended(first.id, owner)

    link = Message.objects.get()
    assert UniqueKey.objects.get().task_id == link.pk
    assert probe.rebuild.delay("index").id == link.pk


def test_what_follows_an_outcome_joins_the_task_in_flight(owner: int) -> None:
    first, held = probe.add.delay(1, 2), probe.rebuild.delay("index")

    assert ended(first.id, owner)

    assert Message.objects.get().pk == held.id
    assert sums("accepted") == 2


def test_an_outcome_that_is_discarded_takes_no_key(owner: int) -> None:
    first = probe.add.delay(1, 2)

    assert not ended(first.id, owner, epoch=2)

    assert not UniqueKey.objects.exists()
    assert Message.objects.get().pk == first.id


def test_a_task_may_be_followed_by_one_with_its_own_key(owner: int) -> None:
    first = probe.rebuild.delay("index")

    assert ended(first.id, owner)

    assert Message.objects.get().pk == UniqueKey.objects.get().task_id != first.id


def test_a_settlement_that_is_repeated_takes_the_key_anew(owner: int) -> None:
    first = probe.add.delay(1, 2)
    with continuation.apart() as sent:
        handle = probe.rebuild.delay("index")
    own = handle.id
    with transaction.atomic():
        probe.rebuild.delay("index")
        complete(Fence(task_id=first.id, epoch=1, owner=owner), DONE, sent, finish_chord=finish_chord)
        assert handle.id != own
        transaction.set_rollback(True)

    assert complete(Fence(task_id=first.id, epoch=1, owner=owner), DONE, sent, finish_chord=finish_chord)

    assert handle.id == own == Message.objects.get().pk == UniqueKey.objects.get().task_id


def test_two_that_want_the_same_keys_do_not_wait_for_one_another() -> None:
    ids: list[str] = []

    def enqueue_in_another_order() -> None:
        try:
            ids.extend(result.id for result in probe.rebuild.enqueue_many([("b",), ("a",)]))
        finally:
            connection.close()

    other = threading.Thread(target=enqueue_in_another_order)
    with transaction.atomic():
        first = probe.rebuild.delay("a")
        other.start()
        if connection.vendor == "postgresql":
            until(is_waiting, what="the other to wait for the key a")
        second = probe.rebuild.delay("b")
    other.join()

    assert ids == [second.id, first.id]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite's writers come one after the other")
def test_of_two_that_take_over_a_key_at_once_the_second_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    UniqueKey.objects.create(key="reporting.probe_add:k", task_id="gone", expires_at=timezone.now())
    ids: list[str] = []
    both_found_it = threading.Barrier(2)
    execute = database.execute

    def in_step(sql: str, parameters: Any = ()) -> int:
        changed = execute(sql, parameters)
        if "INSERT INTO routing_uniquekey" in sql:
            both_found_it.wait()
            if threading.current_thread() is other:
                until(has_taken.is_set, what="the first to take it")
        return changed

    def enqueue() -> None:
        try:
            ids.append(probe.add.apply_async((1, 2), unique_key="k").id)
        finally:
            connection.close()

    monkeypatch.setattr(database, "execute", in_step)
    has_taken, other = threading.Event(), threading.Thread(target=enqueue)
    with transaction.atomic():
        other.start()
        first = probe.add.apply_async((1, 2), unique_key="k")
        has_taken.set()
        until(is_waiting, what="the second to wait for the first")
    other.join()

    assert ids == [first.id]


def is_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() is not None


def test_of_many_at_once_one_is_enqueued() -> None:
    ids: list[str] = []

    def enqueue() -> None:
        try:
            ids.append(probe.add.apply_async((1, 2), unique_key="k").id)
        finally:
            connection.close()

    threads = [threading.Thread(target=enqueue) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    until(lambda: len(ids) == 8, what="all of them")
    assert len(set(ids)) == 1
    assert Message.objects.count() == 1
