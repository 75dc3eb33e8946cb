"""Whoever builds and sends a report may die at any point: the next one goes on, and nobody is sent it twice."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reporting.models import ReportDelivery, ReportEdition, ReportRun, Subscription
from reporting.runs import dispatching
from reporting.runs.sending import BATCH
from routing.ledger.tables import Message, Outbox
from tests.reporting.subscribers import BEGAN, keys
from tests.workers import Process

pytestmark = pytest.mark.django_db(transaction=True)

NINE = datetime(2026, 11, 16, 9, tzinfo=UTC)
PEOPLE = BATCH + 7
DISPATCH = f"""
import django; django.setup()
from datetime import datetime
from reporting.runs import dispatching
print(dispatching.dispatch(now=datetime.fromisoformat("{NINE.isoformat()}")))
"""


@pytest.fixture(autouse=True)
def people(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "files"
    Subscription.objects.bulk_create(
        Subscription(email=f"r{number}@example.org", counts_from=BEGAN, time_zone="UTC", attached="csv")
        for number in range(PEOPLE)
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start a process that dispatches once."""
    started: list[Process] = []

    def run(**variables: str) -> Process:
        variables |= {"DJANGO_SETTINGS_MODULE": "project.settings", "TASKYARD_VAR": str(tmp_path / "var")}
        command = [sys.executable, "-c", DISPATCH]
        started.append(Process(command, tmp_path / f"dispatch.{len(started)}.log", **variables))
        return started[-1]

    yield run
    for process in started:
        process.kill()


def require_each_once() -> None:
    rows = ReportDelivery.objects.values_list("address", "task_id")
    assert len(rows) == PEOPLE
    assert keys() == sorted(f"weekly:2026-W46:r{number}@example.org" for number in range(PEOPLE))
    assert set(Message.objects.values_list("pk", flat=True)) == {str(task_id) for _, task_id in rows}
    assert Outbox.objects.count() == PEOPLE
    assert ReportRun.objects.get().state == ReportRun.State.SENT
    assert ReportEdition.objects.get().files


@pytest.mark.parametrize(
    "fault", ["report.begun", "report.building:3", "report.stored", "report.handed_over:2", "report.committed:2"]
)
def test_a_death_at_any_point_is_gone_on_with(start: Callable[..., Process], fault: str) -> None:
    dead = start(fault=fault)
    assert dead.popen.wait(120) == -9, dead.log.read_text()

    dispatching.dispatch(now=NINE)

    require_each_once()


def test_two_at_once_send_to_each_once(start: Callable[..., Process]) -> None:
    both = [start(), start()]

    for process in both:
        assert process.popen.wait(120) == 0, process.log.read_text()

    require_each_once()
