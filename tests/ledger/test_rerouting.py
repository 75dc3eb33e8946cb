"""Rerouting: what waits runs now or from another lane, once; what runs or has ended is left alone."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.ledger import rerouting
from routing.ledger.tables import Message, Outbox
from routing.testing import drain
from tests import stored_results

pytestmark = pytest.mark.django_db(transaction=True)

NAME, BULK = "notifications.counts_runs", "notifications.bulk"
runs: list[str] = []


@pytest.fixture(autouse=True)
def counts_runs() -> Iterator[None]:
    @current_app.task(name=NAME, bind=True, shared=False)
    def count(self: object) -> None:
        runs.append("ran")

    runs.clear()
    yield
    current_app.tasks.pop(NAME, None)


def waiting(**options: Any) -> str:
    return str(current_app.tasks[NAME].apply_async(**options).id)


def test_what_waits_for_a_later_time_runs_now_and_once() -> None:
    task_id = waiting(countdown=3600)
    assert drain() == []

    assert rerouting.run_now([task_id]) == {rerouting.DUE_NOW: 1}
    assert rerouting.run_now([task_id]) == {rerouting.NOT_WAITING: 1}

    assert Outbox.objects.count() == 1, "it is not published an hour later as well"
    assert [ran.id for ran in drain(due_only=False)] == [task_id]
    assert runs == ["ran"]
    assert rerouting.run_now([task_id, "unknown"]) == {rerouting.NOT_WAITING: 2}


def test_a_copy_that_is_on_its_way_is_not_run_beside_the_new_one() -> None:
    task_id = waiting()
    before = Message.objects.get().epoch
    Outbox.objects.all().delete()

    assert rerouting.move([task_id], queue=BULK) == {rerouting.MOVED: 1}

    message, published = Message.objects.get(), Outbox.objects.get()
    assert (message.epoch, message.queue) == (before + 1, BULK)
    assert (published.epoch, published.queue) == (before + 1, BULK)


def test_what_is_moved_runs_from_its_new_lane() -> None:
    task_id = waiting()

    rerouting.move([task_id], queue=BULK)
    assert rerouting.move([task_id], queue=BULK) == {rerouting.NOT_MOVABLE: 1}

    drain()
    assert runs == ["ran"]
    assert json.loads(TaskResult.objects.get(task_id=task_id).meta)["queue"] == BULK


def test_what_waits_for_a_time_waits_for_it_in_its_new_lane() -> None:
    task_id = waiting(countdown=3600)

    rerouting.move([task_id], queue=BULK)

    assert drain() == []
    assert Message.objects.get().due_at > timezone.now() + timedelta(minutes=59)
    assert [ran.id for ran in drain(due_only=False)] == [task_id]


def test_what_runs_is_left_where_it_is() -> None:
    row = stored_results.in_flight(NAME, owner=1, due_at=timezone.now() + timedelta(hours=1))

    assert rerouting.move([row.pk], queue=BULK) == {rerouting.NOT_MOVABLE: 1}
    assert rerouting.run_now([row.pk]) == {rerouting.NOT_WAITING: 1}

    row.refresh_from_db()
    assert (row.queue, row.epoch) == ("notifications", 1)
    assert not Outbox.objects.exists()


def test_nothing_goes_to_another_domain_or_to_no_queue() -> None:
    task_id = waiting()

    assert rerouting.move([task_id], queue="reporting") == {rerouting.NOT_MOVABLE: 1}
    with pytest.raises(ValueError, match="No queue is called 'nowhere'"):
        rerouting.move([task_id], queue="nowhere")
    assert Message.objects.get().queue == "notifications"
