"""Real worker processes on the tests' broker and database."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connection
from kombu import Connection

from routing.broker import topology
from routing.domains import registry
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent


class Process:
    """A process of the project, with its log, stopped when the test ends."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                command, cwd=ROOT, env=environment(), stdout=output, stderr=output, start_new_session=True
            )

    def kill(self) -> None:
        """End it and its children at once, as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def stop(self) -> int:
        """Ask it to finish what it runs, and wait."""
        self.popen.terminate()
        return self.popen.wait(30)

    def says(self, words: str) -> bool:
        return words in self.log.read_text(errors="replace")


def environment() -> dict[str, str]:
    """The environment of a process that uses the tests' own database."""
    name = str(connection.settings_dict["NAME"])
    scheme, _, _ = os.environ["DATABASE_URL"].partition("://")
    server = os.environ["DATABASE_URL"].rpartition("/")[0]
    return {**os.environ, "DATABASE_URL": f"sqlite:///{name}" if scheme == "sqlite" else f"{server}/{name}"}


@pytest.fixture
def clean_broker(broker_url: str) -> Iterator[Connection]:
    """A connection to a broker whose queues exist and are empty, before and after."""
    _purge(broker_url)
    with Connection(broker_url) as broker:
        yield broker
    _purge(broker_url)


def _purge(broker_url: str) -> None:
    with Connection(broker_url) as broker, broker.channel() as channel:
        for queue in topology.declare(broker, registry()):
            channel.queue_purge(queue.name)  # type: ignore[attr-defined]


@pytest.fixture
def start_worker(transactional_db: None, clean_broker: Connection, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start ``manage.py pool QUEUE`` with the probe tasks, wait until it consumes, and stop it in the end."""
    import tests.probe  # noqa: F401  (registers the probes with this process, too)

    started: list[Process] = []

    def start(queue: str, *options: str) -> Process:
        command = [sys.executable, "manage.py", "pool", queue, "--", "--include=tests.probe", *options]
        worker = Process(command, tmp_path / f"{queue}.{len(started)}.log")
        started.append(worker)
        until(lambda: worker.says(" ready."), what=f"the pool {queue}; its log is {worker.log}")
        return worker

    yield start
    for worker in started:
        worker.kill()
