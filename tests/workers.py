"""Real worker processes on the tests' broker and database."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from kombu import Connection

from routing.broker import topology
from routing.domains import registry
from routing.ledger import tables
from routing.worker import pools
from tests.freezing import freeze
from tests.waiting import until

StartWorker = Callable[..., "Process"]
StartRelay = Callable[..., "Process"]

ROOT = Path(__file__).resolve().parent.parent


class Process:
    """A process of the project, with its log, stopped when the test ends."""

    def __init__(self, command: list[str], log: Path, *, fault: str = "", **variables: str) -> None:
        """With ``fault``, it dies at that point of routing.faults, or with ``fault:N`` at its N-th pass."""
        self.log = log
        if fault:
            variables["TASKYARD_FAULT"] = fault
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                command, cwd=ROOT, env=environment() | variables, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def is_dead(self) -> bool:
        """Whether its main process has ended; children may live on."""
        return self.popen.poll() is not None

    def kill(self) -> None:
        """End it and its children at once, as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def stop(self) -> int:
        """Ask it to finish what it runs, and wait."""
        self.popen.terminate()
        return self.popen.wait(120)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It and its children stand still meanwhile, as under a debugger or in a machine that is suspended.

        On SQLite not while it holds the only lock for writing: everybody would stand still.
        """
        until(self._stands_still, what="it to stand still without SQLite's lock")
        try:
            yield
        finally:
            self.thaw()

    def _stands_still(self) -> bool:
        freeze(self.popen.pid)
        if connection.vendor != "sqlite" or _can_be_written_to(connection.settings_dict["NAME"]):
            return True
        self.thaw()
        return False

    def thaw(self) -> None:
        os.killpg(self.popen.pid, signal.SIGCONT)

    def until_it_says(self, words: str) -> None:
        until(lambda: self.says(words) or self.is_dead, what=f"{words!r} in {self.log}")
        assert self.says(words), f"It ended and never said {words!r}:\n{self.log.read_text(errors='replace')[-3000:]}"

    def says(self, words: str) -> bool:
        return words in self.log.read_text(errors="replace")


def _can_be_written_to(file: str) -> bool:
    """Whether its lock is free within a moment, as with everybody who is at work."""
    with closing(sqlite3.connect(file, timeout=1.0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        other.execute("ROLLBACK")
        return True


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
        for queue in topology.create(broker, registry()):
            channel.queue_purge(queue.name)  # type: ignore[attr-defined]


@pytest.fixture
def start_relay(transactional_db: None, clean_broker: Connection, tmp_path: Path) -> Iterator[StartRelay]:
    """Start ``manage.py relay``, wait until the database shows that it beats, and kill it in the end.

    ``wait=False`` returns at once, for a relay that a fault kills before it beats.
    """
    started: list[Process] = []

    def start(*options: str, wait: bool = True, **variables: str) -> Process:
        # One marker for all tests: its queue stays, and its absence would tell of a loss that never was.
        tables.BrokerMarker.objects.get_or_create(pk=1, defaults={"marker": "tests"})
        command = [sys.executable, "manage.py", "relay", *options]
        relay = Process(command, tmp_path / f"relay.{len(started)}.log", **variables)
        started.append(relay)
        if wait:
            until_it_beats(relay)
        return relay

    yield start
    for relay in started:
        relay.kill()


def until_it_beats(process: Process) -> None:
    """Return once the ledger knows a relay, beat or worker as living."""
    known = tables.Process.objects.filter(pid=process.popen.pid, dead_at=None)
    until(lambda: known.exists() or process.is_dead, what=f"a beat of the process; its log is {process.log}")
    assert not process.is_dead, f"It ended before it beat:\n{process.log.read_text(errors='replace')[-3000:]}"


@pytest.fixture
def start_worker(start_relay: StartRelay, tmp_path: Path) -> Iterator[StartWorker]:
    """Start the pool of a queue with the probe tasks, wait until it consumes, and kill it in the end.

    The test's first pool brings a relay with it, unless told ``relay=False``.
    """
    import tests.probe  # noqa: F401  (registers the probes with this process, too)

    started: list[Process] = []
    relays: list[Process] = []

    def start(queue: str, *options: str, relay: bool = True, **variables: str) -> Process:
        # Both at once: most of a start is imports.
        if relay and not relays:
            relays.append(start_relay(wait=False))
        command = pools.command(pools.get(queue), ["--include=tests.probe", *options])
        worker = Process(command, tmp_path / f"{queue}.{len(started)}.log", **variables)
        started.append(worker)
        worker.until_it_says(" ready.")
        if relay:
            until_it_beats(relays[0])
        return worker

    yield start
    for worker in started:
        worker.kill()


def is_idle(broker: Connection) -> bool:
    """Whether the workers that answer have heard of the end of all they held; its outcome is on record before that."""
    inspect: Any = current_app.control.inspect(timeout=1, connection=broker)
    told = [inspect.active(), inspect.reserved()]
    return all(told) and not any(held for each in told for held in each.values())


def prefetched(broker: Connection) -> set[str]:
    """The ids of what workers hold and have not begun. What RabbitMQ has given away may still be on its way."""
    inspect: Any = current_app.control.inspect(timeout=1, connection=broker)
    return {request["id"] for held in (inspect.reserved() or {}).values() for request in held}
