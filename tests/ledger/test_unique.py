"""Unique keys: one task in flight for each."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from celery import group
from django.db import connection, transaction
from django.utils import timezone

from routing.ledger import unique
from routing.ledger.tables import Message, Outbox, UniqueKey
from routing.refusals import UniqueInCanvas
from tests import probe as typed_probe
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
    assert unique.forget_expired() == 0


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
