"""A worker's process dies at each of its crash windows; every task still comes to one outcome."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord
from celery.result import AsyncResult
from django.contrib.auth.models import Group
from django_celery_results.models import TaskResult

from routing.ledger import audit
from routing.ledger.tables import DeadLetter, Message
from tests import probe as typed_probe
from tests.waiting import until
from tests.workers import StartWorker

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]

WINDOWS = [
    ("claim.committed", 2),
    ("run.ended", 1),
    ("run.ended", 4),
    ("settle.written", 2),
    ("settle.written", 5),
    ("run.uncommitted", 1),
    ("run.settled", 3),
    ("run.rescheduling", 1),
    ("run.rescheduled", 1),
]
"""Places where a child dies, and which of its tasks it takes with it."""


def outcome(result: AsyncResult[Any]) -> tuple[str, Any]:
    row = until(TaskResult.objects.filter(task_id=result.id).first, seconds=60, what=f"the outcome of {result.id}")
    return row.status, json.loads(row.result)


def settled() -> list[str]:
    """The names of all tasks that ran, once nothing is in flight."""
    until(lambda: not Message.objects.exists(), what="all outcomes")
    return sorted(TaskResult.objects.values_list("task_name", flat=True))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / "died"


@pytest.mark.parametrize(("window", "passes"), WINDOWS)
def test_a_child_that_dies_neither_loses_nor_doubles(
    start_worker: StartWorker, window: str, passes: int, journal: Path, flag: Path
) -> None:
    atomic = probe.take_effect.apply_async((str(journal), "once"), link=probe.total.si([5]))
    retried = probe.succeed_at_third_run.delay(str(journal))
    step = chain(probe.add.s(1, 2), probe.add.s(3)).apply_async(link=probe.add.s(10))
    total = chord([probe.add.s(n, n) for n in range(4)])(probe.total.s())
    failed = probe.fail_for_good.apply_async(link_error=probe.total.si([1]))

    start_worker("reporting", fault=f"{window}:{passes}", TASKYARD_FAULT_FLAG=str(flag))

    assert outcome(atomic) == ("SUCCESS", "once")
    assert outcome(retried)[0] == "SUCCESS"
    assert outcome(step) == ("SUCCESS", 6)
    assert outcome(total) == ("SUCCESS", 12)
    assert outcome(failed)[0] == "FAILURE"
    assert Counter(settled()) == {
        "reporting.probe_effect": 1,
        "reporting.probe_retry": 1,
        # One from the atomic task's body, three of the chain with its link, four of the chord.
        "reporting.probe_add": 1 + 3 + 4,
        # The atomic task's link, the chord's body, the errback.
        "reporting.probe_sum": 3,
        "reporting.probe_fail": 1,
    }
    assert Group.objects.count() == DeadLetter.objects.count() == 1
    assert flag.exists()
    assert audit.audit().balances


@pytest.mark.parametrize("window", ["run.ended", "settle.written"])
def test_a_child_that_dies_leaves_no_key_to_a_task_that_never_was(
    start_worker: StartWorker, window: str, flag: Path
) -> None:
    first = probe.add.apply_async((1, 2), link=probe.rebuild.si("index").set(unique_for=3600))
    start_worker("reporting", fault=window, TASKYARD_FAULT_FLAG=str(flag))

    assert outcome(first) == ("SUCCESS", 3)
    assert settled() == ["reporting.probe_add", "reporting.probe_rebuild"]
    assert flag.exists()


@pytest.mark.parametrize("window", ["main.settling", "main.settled"])
def test_a_worker_that_dies_over_a_hard_time_out_leaves_one_outcome(
    start_worker: StartWorker, window: str, flag: Path
) -> None:
    worker = start_worker("reporting", fault=window, TASKYARD_FAULT_FLAG=str(flag))

    overrun = probe.overrun.apply_async(link_error=probe.total.si([1]))
    until(lambda: worker.is_dead, what="the worker's death")
    start_worker("reporting")

    until(lambda: TaskResult.objects.filter(task_id=overrun.id).exists(), seconds=60, what="the outcome")
    assert outcome(overrun)[0] == "FAILURE"
    assert settled() == ["reporting.probe_overrun", "reporting.probe_sum"]


def test_a_task_that_may_start_once_is_not_started_again(start_worker: StartWorker, journal: Path) -> None:
    start_worker("reporting")

    crashed = probe.start_once.delay(str(journal))

    assert outcome(crashed)[0] == "FAILURE"
    assert journal.read_text().splitlines() == ["run"]
    assert DeadLetter.objects.get().reason == "crashed"
