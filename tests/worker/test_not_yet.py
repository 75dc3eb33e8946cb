"""NotYet: a task whose turn has not come runs again later, however often, and none of that is an attempt of it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django_celery_results.models import TaskResult
from kombu import Connection

from routing.domains import registry
from routing.ledger import audit, results
from routing.ledger.tables import Message
from routing.testing import drain
from routing.worker.cancelling import Order, cancel
from tests import probe as typed_probe
from tests.console.conftest import viewer
from tests.pipeline.test_workers import finished
from tests.workers import StartWorker

__all__ = ["viewer"]

probe: Any = typed_probe
TURN = 9
"""More runs than any domain's limit."""


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


def once_more() -> Message:
    """Run what waits, once, and return it as it waits again."""
    row = Message.objects.get()
    drain(at=row.due_at + timedelta(milliseconds=1))
    return Message.objects.get()


@pytest.mark.django_db
@pytest.mark.parametrize("task", ["wait_for_its_turn", "wait_for_its_turn_atomically", "wait_for_its_turn_once"])
def test_it_runs_until_its_turn_comes_and_only_that_run_counts(journal: str, task: str) -> None:
    getattr(probe, task).delay(journal, TURN)
    assert max(domain.run_limit for domain in registry()) < TURN

    *_, last = drain(due_only=False)

    assert (last.state, last.result) == ("SUCCESS", TURN)
    meta = results.read_meta(TaskResult.objects.get())
    assert (meta["attempt"], meta["runs"]) == (1, 1)
    assert audit.audit().balances


@pytest.mark.django_db
def test_while_it_waits_its_row_tells_why_and_nobody_owns_it(journal: str, viewer: Client) -> None:
    handle = probe.wait_for_its_turn.delay(journal, TURN)

    row = once_more()

    assert (row.state, row.attempt, row.runs, row.owner) == ("PENDING", 1, 0, None)
    assert row.error == "Its turn is at 12:03:07."
    assert "Its turn is at 12:03:07." in viewer.get(f"/admin/routing/message/{handle.id}/change/").content.decode()


@pytest.mark.django_db
def test_an_atomic_task_leaves_nothing_of_the_runs_before_its_turn(journal: str) -> None:
    probe.wait_for_its_turn_atomically.delay(journal, 3)

    once_more()
    assert not Group.objects.exists()

    drain(due_only=False)
    assert Group.objects.count() == 1


@pytest.mark.django_db
def test_what_waits_for_its_turn_can_be_cancelled(journal: str) -> None:
    handle = probe.wait_for_its_turn.delay(journal, TURN)
    once_more()

    cancel(handle.id, Order(by="ann"))

    assert drain(due_only=False) == []
    assert TaskResult.objects.get().status == "REVOKED"


@pytest.mark.pipeline
@pytest.mark.broker
def test_a_worker_gives_it_back_and_takes_it_again(
    start_worker: StartWorker, clean_broker: Connection, journal: str
) -> None:
    start_worker("reporting")

    row = finished(probe.wait_for_its_turn.delay(journal, TURN))

    assert (row.status, row.result) == ("SUCCESS", str(TURN))
