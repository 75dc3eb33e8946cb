"""A worker's heart, in real workers."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django_celery_results.models import TaskResult
from kombu import Connection

from routing.ledger import processes
from routing.ledger.tables import Process as Row
from tests import probe as typed_probe
from tests.services import Postgresql
from tests.waiting import until
from tests.workers import ROOT, Process, environment

pytestmark = [pytest.mark.pipeline, pytest.mark.broker, pytest.mark.one_database]

probe: Any = typed_probe
"""Celery's stubs know none of our options."""
StartWorker = Callable[..., Process]


def row(**fields: object) -> Row:
    return until(Row.objects.filter(role="worker", **fields).first, what="the worker's row")


def children(pid: int) -> set[int]:
    """The pool's processes."""
    found = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", "celery|manage.py pool"], capture_output=True, text=True, check=False
    )
    return {int(line) for line in found.stdout.split()}


def lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def alive(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "alive", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


def test_a_worker_is_registered_with_its_queues_and_beats(start_worker: StartWorker) -> None:
    worker = start_worker("reporting", relay=False)

    first = row()
    assert (first.name, first.pid) == (f"reporting@{socket.gethostname()}", worker.popen.pid)
    assert json.loads(first.queues) == ["reporting"]
    until(lambda: row(consuming=True).beat_at > first.beat_at, what="the next beats")


def test_a_worker_that_ends_in_good_order_leaves_nothing(start_worker: StartWorker) -> None:
    worker = start_worker("reporting", relay=False)
    assert alive("worker", "--name", "reporting").returncode == 0

    assert worker.stop() == 0

    assert not Row.objects.exists()
    assert "has run here" in alive("worker", "--name", "reporting").stderr


def test_a_worker_hurried_to_its_end_leaves_too(start_worker: StartWorker) -> None:
    worker = start_worker("reporting")
    # In its loop. Celery's handler, which stops the pool, may never return where the loop is about to begin.
    result = probe.add.delay(1, 2)
    until(TaskResult.objects.filter(task_id=result.id).exists, seconds=60, what="its first task")

    worker.popen.send_signal(signal.SIGQUIT)
    until(lambda: worker.is_dead, seconds=120, what="its end")

    assert not Row.objects.filter(role="worker").exists()


def test_children_die_with_their_main_process(start_worker: StartWorker) -> None:
    worker = start_worker("notifications.bulk", relay=False)
    pool = until(lambda: children(worker.popen.pid), what="the children")

    worker.popen.kill()

    until(lambda: not any(lives(pid) for pid in pool), seconds=20, what="the children's end")


def test_a_frozen_worker_that_was_declared_dead_starts_anew(start_worker: StartWorker) -> None:
    worker = start_worker("reporting", relay=False)
    pool = until(lambda: children(worker.popen.pid), what="the children")
    first = row()
    worker.popen.send_signal(signal.SIGSTOP)

    observer = processes.Observer()
    until(lambda: observer.observe() or Row.objects.filter(pk=first.pk).exclude(dead_at=None), seconds=60)
    worker.popen.send_signal(signal.SIGCONT)

    second = until(Row.objects.filter(role="worker", dead_at=None).first, what="the new incarnation")
    assert second.pk != first.pk
    assert second.pid == worker.popen.pid
    assert worker.says("was declared dead")
    assert not any(lives(pid) for pid in pool)
    until(lambda: row(consuming=True, pk=second.pk), what="the worker to consume again")
    assert worker.popen.poll() is None


def test_a_worker_waits_for_a_database_that_is_away(
    start_worker: StartWorker, database_server: Postgresql | None
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    database_server.stop()
    connection.close()
    worker = Process(
        [sys.executable, "-m", "celery", "--app=project", "worker", "--queues=reporting", "--concurrency=1"],
        Path(os.environ["TASKYARD_VAR"]) / "waiting.log",
    )
    try:
        until(lambda: worker.says("trying again in"), what="the worker to notice")
        assert not children(worker.popen.pid)
        database_server.start()

        until(lambda: row(consuming=True), what="the worker to consume")
    finally:
        worker.kill()


def test_a_worker_beats_again_after_a_database_outage(
    start_worker: StartWorker, database_server: Postgresql | None
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    worker = start_worker("reporting", relay=False)
    own = row().pk
    database_server.stop()
    connection.close()
    until(lambda: worker.says("Cannot tell the database that this worker lives"), what="the worker to notice")
    database_server.start()
    Row.objects.update(beat_at=Now() - timedelta(hours=1))

    recent = Row.objects.filter(pk=own, beat_at__gte=Now() - timedelta(minutes=1))
    until(recent.exists, what="the next beat")


def test_a_worker_whose_queue_was_deleted_comes_back(start_worker: StartWorker, clean_broker: Connection) -> None:
    worker = start_worker("reporting", relay=False)
    channel = clean_broker.channel()

    channel.queue_delete("reporting")  # type: ignore[attr-defined]

    until(lambda: _consumers(clean_broker) == 1, what="the worker to consume from a new queue")
    assert worker.popen.poll() is None


def _consumers(broker: Connection) -> int:
    from routing.broker import topology

    depth = topology.depths(broker, ["reporting"])["reporting"]
    return depth.consumers if depth else 0
