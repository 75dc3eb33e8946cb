"""Real beat processes, which die, stand still and run beside each other: each due time is fired once all the same."""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now

from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import Message
from routing.schedule import last_beat
from tests.private_postgresql import Postgresql
from tests.services import DATABASE, free_port
from tests.waiting import until
from tests.workers import Process

pytestmark = [pytest.mark.pipeline, pytest.mark.django_db(transaction=True)]

StartBeat = Callable[..., Process]


@pytest.fixture
def start_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartBeat]:
    """Start ``celery beat`` with one entry for each second."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.schedule.every_second")
    started: list[Process] = []

    def start(*, fault: str = "", **variables: str) -> Process:
        command = [sys.executable, "-m", "celery", "-A", "project", "beat"]
        started.append(Process(command, tmp_path / f"beat.{len(started)}.log", fault=fault, **variables))
        return started[-1]

    yield start
    for beat in started:
        beat.kill()


def fired() -> int:
    return ScheduleSlot.objects.exclude(task_id="").count()


def judge() -> None:
    """Each second from the first to the last is there, was fired, and has one task."""
    rows = list(ScheduleSlot.objects.order_by("due_at"))
    first = ScheduleEntry.objects.get().anchor + timedelta(seconds=1)
    assert [row.due_at for row in rows] == [first + timedelta(seconds=number) for number in range(len(rows))]
    assert {row.missed for row in rows} == {""}
    assert sorted(row.task_id for row in rows) == sorted(Message.objects.values_list("id", flat=True))


def until_more_are_fired() -> None:
    before = fired()
    until(lambda: fired() >= before + 3, what="three more fires")


def test_beat_fires_into_the_ledger_and_shows_that_it_lives(start_beat: StartBeat) -> None:
    beat = start_beat()

    until_more_are_fired()
    row = until(last_beat, what="the beat's row")
    until(lambda: (last_beat() or row).beat_at > row.beat_at, what="the next beat")

    assert row.pid == beat.popen.pid
    assert beat.stop() == 0
    judge()


def test_a_beat_that_is_stopped_takes_its_row_with_it(start_beat: StartBeat) -> None:
    beat = start_beat()
    until(last_beat, what="the beat's row")

    assert beat.stop() == 0

    assert last_beat() is None


def test_beat_needs_no_broker(start_beat: StartBeat) -> None:
    start_beat(BROKER_URL=f"amqp://guest:guest@127.0.0.1:{free_port()}//")

    until_more_are_fired()


@pytest.mark.parametrize(
    "fault",
    [
        "schedule.registering",
        "schedule.taken:2",
        "schedule.fired:2",
        "schedule.decided:2",
        "schedule.committed:2",
        "enqueue.committed:2",
    ],
)
def test_a_beat_that_is_killed_anywhere_neither_loses_nor_doubles_a_fire(start_beat: StartBeat, fault: str) -> None:
    beat = start_beat(fault=fault)
    until(lambda: beat.is_dead, what="its death")

    other = start_beat()

    until_more_are_fired()
    # So that none is fired between a look at the slots and a look at the tasks.
    assert other.stop() == 0
    judge()


def test_three_beats_of_which_two_die_and_one_stands_still(start_beat: StartBeat) -> None:
    beats = [start_beat() for _ in range(3)]
    until_more_are_fired()
    beats[0].kill()
    with beats[1].frozen():
        until_more_are_fired()
    until_more_are_fired()
    beats[2].kill()
    until_more_are_fired()

    beats[1].stop()
    judge()


def test_a_beat_that_is_thawed_after_others_took_its_place_doubles_nothing(start_beat: StartBeat) -> None:
    beat = start_beat()
    until_more_are_fired()
    with beat.frozen():
        other = start_beat()
        until_more_are_fired()
        other.stop()
    until_more_are_fired()

    beat.stop()
    judge()


FREEZE = "tests.schedule.freezing.freeze"


@pytest.mark.skipif(DATABASE == "sqlite", reason="whoever holds SQLite's only lock holds up everybody")
def test_a_beat_that_is_frozen_in_its_transaction_holds_up_the_others_for_seconds_only(
    start_beat: StartBeat, tmp_path: Path
) -> None:
    once = str(tmp_path / "frozen")
    frozen = start_beat(fault="schedule.fired:2", TASKYARD_FAULT_CALL=FREEZE, TASKYARD_FAULT_FLAG=once)
    until(lambda: is_stopped(frozen), what="its freezing")

    other = start_beat()
    until_more_are_fired()
    frozen.thaw()
    frozen.until_it_says("idle-in-transaction timeout")
    until_more_are_fired()

    for beat in (frozen, other):
        beat.stop()
    judge()


def is_stopped(process: Process) -> bool:
    state = Path(f"/proc/{process.popen.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


@pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite has no server")
def test_a_database_that_is_restarted_costs_nothing(start_beat: StartBeat, database_server: Postgresql) -> None:
    beat = start_beat()
    until_more_are_fired()
    database_server.stop()
    beat.until_it_says("nothing is fired until it is back")
    database_server.start()
    connection.close()
    until_more_are_fired()

    beat.stop()
    judge()


def test_a_paused_entry_fires_nothing_until_it_is_resumed(start_beat: StartBeat) -> None:
    start_beat()
    until_more_are_fired()
    ScheduleEntry.objects.update(paused_at=Now())
    before = until(lambda: ScheduleSlot.objects.filter(missed="paused").count() >= 3 and fired(), what="missed slots")

    assert fired() == before
    ScheduleEntry.objects.update(paused_at=None, resumed_at=Now())
    until_more_are_fired()
