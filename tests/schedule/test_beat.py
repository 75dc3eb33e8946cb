"""A real beat process."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routing.ledger.tables import Message
from routing.schedule import last_beat
from tests.services import free_port
from tests.waiting import until
from tests.workers import Process

pytestmark = [pytest.mark.pipeline, pytest.mark.django_db(transaction=True)]

StartBeat = Callable[..., Process]


@pytest.fixture
def start_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Process]]:
    """Start ``celery beat`` with one entry for each second."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.schedule.every_second")
    started: list[Process] = []

    def start(broker_url: str = os.environ["BROKER_URL"]) -> Process:
        monkeypatch.setenv("BROKER_URL", broker_url)
        command = [sys.executable, "-m", "celery", "-A", "project", "beat", "--schedule", str(tmp_path / "schedule")]
        started.append(Process(command, tmp_path / "beat.log"))
        return started[-1]

    yield start
    for beat in started:
        beat.kill()


def fired() -> int:
    return Message.objects.filter(task="maintenance.cleanup", headers__contains="every-second").count()


def test_beat_fires_into_the_ledger_and_shows_that_it_lives(start_beat: StartBeat) -> None:
    beat = start_beat()

    until(lambda: fired() >= 2, what="two fires")
    row = until(last_beat, what="the beat's row")
    until(lambda: (last_beat() or row).beat_at > row.beat_at, what="the next beat")

    assert row.pid == beat.popen.pid


def test_a_beat_that_is_stopped_takes_its_row_with_it(start_beat: StartBeat) -> None:
    beat = start_beat()
    until(last_beat, what="the beat's row")

    beat.stop()

    assert last_beat() is None


def test_beat_needs_no_broker(start_beat: StartBeat) -> None:
    start_beat(f"amqp://guest:guest@127.0.0.1:{free_port()}//")

    until(lambda: fired() >= 2, what="two fires")
