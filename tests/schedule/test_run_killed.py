"""``schedule run`` that dies on its way: a slot with its task, or neither."""

import signal
import sys
from pathlib import Path

import pytest

from routing.ledger.schedule_tables import ScheduleSlot
from routing.ledger.tables import Message
from routing.schedule import operating
from tests.console import schedule_specimens as specimens
from tests.workers import Process

pytestmark = [pytest.mark.pipeline, pytest.mark.django_db(transaction=True)]
NAME = "weekly-report"


@pytest.mark.parametrize(
    ("fault", "enqueued"),
    [
        ("schedule.run.taken", 0),
        ("schedule.run.fired", 0),
        ("schedule.run.committed", 1),
    ],
)
def test_a_run_by_hand_that_is_killed_leaves_all_or_nothing_and_can_be_asked_for_again(
    tmp_path: Path, fault: str, enqueued: int
) -> None:
    specimens.registered(specimens.BUILT_IN)
    command = [sys.executable, "manage.py", "schedule", "run", NAME]

    assert Process(command, tmp_path / "run.log", fault=fault).popen.wait(120) == -signal.SIGKILL

    slots = list(ScheduleSlot.objects.values_list("task_id", flat=True))
    assert slots == list(Message.objects.values_list("id", flat=True))
    assert len(slots) == enqueued

    again = operating.run_now(NAME, by="ann")

    assert Message.objects.filter(pk=again).exists()
    assert ScheduleSlot.objects.count() == Message.objects.count() == enqueued + 1
