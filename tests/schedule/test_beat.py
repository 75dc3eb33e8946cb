"""A real beat process on a real broker."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django_celery_results.models import TaskResult
from kombu import Connection

from routing.broker import topology
from routing.schedule import last_beat
from tests.services import free_port
from tests.waiting import until
from tests.workers import Process

pytestmark = [pytest.mark.broker, pytest.mark.pipeline, pytest.mark.django_db(transaction=True)]

StartBeat = Callable[..., Process]


class Door:
    """A port that leads to the broker once it is opened; before, nobody answers there."""

    def __init__(self, broker_url: str) -> None:
        url = urlsplit(broker_url)
        self._broker = (url.hostname or "127.0.0.1", url.port or 5672)
        self.port = free_port(below=40000)
        self.url = f"amqp://{url.username}:{url.password}@127.0.0.1:{self.port}{url.path}"
        self._listener: socket.socket | None = None

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                inside, _ = listener.accept()
                outside = socket.create_connection(self._broker)
                for one, other in ((inside, outside), (outside, inside)):
                    threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        end.close()


@pytest.fixture
def door(broker_url: str) -> Iterator[Door]:
    door = Door(broker_url)
    yield door
    door.close()


@pytest.fixture
def start_beat(
    clean_broker: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Process]]:
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


def waiting(broker: Connection) -> int:
    depth = topology.depths(broker, ["maintenance"])["maintenance"]
    return depth.ready if depth else 0


def test_beat_fires_into_the_broker_and_shows_that_it_lives(start_beat: StartBeat, clean_broker: Connection) -> None:
    beat = start_beat()

    until(lambda: waiting(clean_broker) >= 2, what="two fires")
    row = until(last_beat, what="the beat's row")
    until(lambda: (last_beat() or row).beat_at > row.beat_at, what="the next beat")

    assert row.pid == beat.popen.pid
    assert TaskResult.objects.filter(task_name="maintenance.cleanup", periodic_task_name="every-second").exists()


def test_a_beat_that_is_stopped_takes_its_row_with_it(start_beat: StartBeat) -> None:
    beat = start_beat()
    until(last_beat, what="the beat's row")

    beat.stop()

    assert last_beat() is None


def test_beat_fires_late_rather_than_never_when_the_broker_was_away(
    start_beat: StartBeat, door: Door, clean_broker: Connection
) -> None:
    beat = start_beat(door.url)
    until(lambda: beat.says("could not be published"), what="a refused fire")
    assert last_beat() is not None

    door.open()

    until(lambda: waiting(clean_broker) >= 1, what="the fire that was due")
