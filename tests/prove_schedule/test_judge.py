"""The proof fails where something is lost or doubled, and Debian's cron is as its manual has it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from routing.ledger.schedule_tables import ScheduleSlot
from tests.prove_schedule import debian, fires

pytestmark = pytest.mark.django_db

NINE = datetime(2027, 1, 4, 9, tzinfo=UTC)
TEN = NINE + timedelta(hours=1)


def slot(due_at: datetime, **values: Any) -> None:
    ScheduleSlot.objects.create(entry="hourly", due_at=due_at, decided_at=due_at, **values)


def judge(*fired: datetime, allowed: tuple[str, ...] = ()) -> tuple[int, int, int, int]:
    counts = fires.judge("hourly", {NINE: allowed, TEN: allowed}, Counter(("hourly", due_at) for due_at in fired))
    assert counts.slots == 2
    assert len(counts.findings) >= bool(counts.lost or counts.doubled)
    return counts.fired, counts.recorded_missed, counts.lost, counts.doubled


def test_what_was_fired_or_recorded_is_neither_lost_nor_doubled() -> None:
    slot(NINE, task_id="a")
    slot(TEN, missed="late")

    assert judge(NINE, allowed=("late",)) == (1, 1, 0, 0)


def test_a_due_time_without_a_trace_is_lost() -> None:
    slot(NINE, task_id="a")

    assert judge(NINE) == (1, 0, 1, 0)


def test_a_slot_whose_task_is_not_there_is_lost() -> None:
    slot(NINE, task_id="a")
    slot(TEN, task_id="b")

    assert judge(NINE) == (1, 0, 1, 0)


def test_what_the_policy_does_not_allow_to_be_missed_is_lost() -> None:
    slot(NINE, task_id="a")
    slot(TEN, missed="superseded")

    assert judge(NINE, allowed=("late",)) == (1, 0, 1, 0)


def test_two_tasks_for_one_due_time_are_doubled() -> None:
    slot(NINE, task_id="a")
    slot(TEN, task_id="b")

    assert judge(NINE, TEN, TEN) == (2, 0, 0, 1)


def test_a_task_for_a_time_at_which_nothing_was_due_is_doubled() -> None:
    slot(NINE, task_id="a")
    slot(TEN, task_id="b")

    assert judge(NINE, TEN, NINE + timedelta(minutes=1)) == (2, 0, 0, 1)


def runs(line: str, hours: int = 5, *, change: datetime) -> list[str]:
    berlin, start = ZoneInfo("Europe/Berlin"), change - timedelta(hours=2)
    found = debian.runs({line: debian.Job.of(line)}, berlin, start, start + timedelta(hours=hours))
    return [f"{moment.astimezone(berlin):%H:%M%z}" for moment in sorted(found[line])]


SPRING, AUTUMN = datetime(2027, 3, 28, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)


def test_cron_runs_what_was_skipped_soon_after_the_change() -> None:
    assert runs("30 2 * * *", change=SPRING) == ["03:00+0200"]


def test_cron_does_not_run_again_what_falls_into_the_repeated_time() -> None:
    assert runs("30 2 * * *", change=AUTUMN) == ["02:30+0200"]


def test_cron_runs_jobs_with_wildcards_by_the_new_time() -> None:
    assert runs("*/30 2 * * *", change=AUTUMN) == ["02:00+0200", "02:30+0200", "02:00+0100", "02:30+0100"]
    assert runs("*/30 2 * * *", change=SPRING) == []
