"""Cancelling what real workers run: ended if asked, and its outcome stays REVOKED whatever its body comes to."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from celery import Celery
from django_celery_results.models import TaskResult
from kombu import Connection

from routing.ledger import audit, results
from routing.ledger.tables import DeadLetter, Message, Termination
from routing.worker.cancelling import Fate, Order, cancel
from tests import probe as typed_probe
from tests.free_ports import free_port
from tests.ledger.test_cancel import in_a_shell, meta
from tests.pipeline.test_workers import finished
from tests.services import Broker
from tests.waiting import until
from tests.workers import ROOT, StartWorker, environment

probe: Any = typed_probe

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tmp_path / "release"


@pytest.fixture
def running(start_worker: StartWorker, tmp_path: Path, release: Path) -> str:
    """The id of a task that a pool of one process runs until it is released, with a link that would follow."""
    start_worker("reporting", "--concurrency=1")
    return _start(tmp_path, release)


def _start(tmp_path: Path, release: Path) -> str:
    sent = probe.wait_for_file.apply_async((str(tmp_path / "journal"), str(release)), link=probe.total.si([1]))
    until(Message.objects.filter(pk=sent.id, state="STARTED").exists, what="its start")
    return str(sent.id)


def answer(task_id: str) -> str:
    return str(until(Termination.objects.exclude(answer="").filter(task_id=task_id).first, what="an answer").answer)


def test_the_command_has_a_running_task_ended_and_says_so(running: str, tmp_path: Path) -> None:
    ended = in_a_shell("manage.py", "cancel", running, "--terminate", "--reason", "wrong list")

    assert (ended.returncode, ended.stdout) == (0, f"{running}  cancelled; its process was ended.\n"), ended.stderr
    assert (meta(running)["note"], meta(running)["ran"]) == ("wrong list", True)
    # The pool goes on, with another process.
    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"
    assert not DeadLetter.objects.exists()
    assert not TaskResult.objects.filter(task_name="reporting.probe_sum").exists()
    assert (tmp_path / "journal").read_text().splitlines() == ["run"]
    assert audit.audit().balances


def test_who_listens_hears_that_it_was_ended(running: str) -> None:
    app, heard = probe.add.app, list[dict[str, Any]]()
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"task-revoked": heard.append})
        with receiver.consumer_context(wakeup=False) as (listening, _, _):
            # Over this connection: one that lay in the pool may have died with an earlier broker.
            app.control.enable_events(reply=True, timeout=10, limit=1, connection=connection)
            cancel(running, Order(by="ann", signal="TERM"))
            until(lambda: _drained(listening) or heard, what="the event")

    (event,) = heard
    assert (event["uuid"], event["terminated"], event["signum"], event["expired"]) == (running, True, "SIGTERM", False)


def _drained(connection: Connection) -> bool:
    with suppress(TimeoutError):
        connection.drain_events(timeout=0.2)
    return False


def test_without_that_it_runs_on_for_nothing(running: str, release: Path) -> None:
    assert cancel(running, Order(by="ann")) is Fate.RUNS_ON

    release.touch()

    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"
    assert TaskResult.objects.get(task_id=running).status == "REVOKED"
    assert not TaskResult.objects.filter(task_name="reporting.probe_sum").exists()
    assert audit.audit().balances


def test_its_retry_does_not_happen(start_worker: StartWorker, tmp_path: Path) -> None:
    start_worker("reporting")
    sent = probe.fail_for_a_passing_reason.delay()
    until(Message.objects.filter(pk=sent.id, state="RETRY").exists, what="its retry")

    assert cancel(sent.id, Order(by="ann")) is Fate.CANCELLED
    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"
    assert (TaskResult.objects.get(task_id=sent.id).status, Message.objects.count()) == ("REVOKED", 0)


def test_a_body_that_will_not_listen_is_killed(running: str) -> None:
    """SIGURG ends nobody; what follows it does."""
    began = time.monotonic()
    assert cancel(running, Order(by="ann", signal="URG")) is Fate.ENDING

    assert answer(running) == "ended"
    assert time.monotonic() - began > 10
    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"


def test_a_pool_of_threads_says_that_it_cannot(start_worker: StartWorker, tmp_path: Path, release: Path) -> None:
    worker = start_worker("reporting", "--pool=threads")
    task_id = _start(tmp_path, release)

    ended = in_a_shell("manage.py", "cancel", task_id, "--terminate")

    assert "its pool of threads cannot end a task, so it runs on" in ended.stdout
    release.touch()
    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"
    assert not worker.is_dead
    assert TaskResult.objects.get(task_id=task_id).status == "REVOKED"


@pytest.mark.parametrize("terminate", [False, True])
def test_what_another_application_broadcasts_is_written_into_the_ledger(
    running: str, release: Path, broker_url: str, terminate: bool
) -> None:
    waiting = probe.total.apply_async(([1],), countdown=3600)
    other = Celery("other", broker=broker_url, set_as_current=False)

    other.control.revoke([running, waiting.id], terminate=terminate)

    row = finished(waiting)
    assert (row.status, results.read_meta(row)["by"]) == ("REVOKED", "remote control")
    if terminate:
        assert answer(running) == "ended"
    else:
        release.touch()
        until(lambda: not Message.objects.filter(pk=running).exists(), what="its end")
    assert TaskResult.objects.get(task_id=running).status == ("REVOKED" if terminate else "SUCCESS")
    until(lambda: not Message.objects.exists(), what="all outcomes")
    assert audit.audit().balances


def test_a_worker_that_is_frozen_ends_it_when_it_comes_to(
    start_worker: StartWorker, tmp_path: Path, release: Path
) -> None:
    worker = start_worker("reporting", "--concurrency=1")
    task_id = _start(tmp_path, release)

    with worker.frozen():
        # Not by a program: while that starts on a busy machine, the worker would be declared dead.
        assert cancel(task_id, Order(by="ann", signal="TERM")) is Fate.ENDING
        assert TaskResult.objects.get(task_id=task_id).status == "REVOKED"

    assert answer(task_id) == "ended"
    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"


def test_while_rabbitmq_is_away_it_is_ended_all_the_same(
    start_worker: StartWorker, broker: Broker, tmp_path: Path, release: Path
) -> None:
    start_worker("reporting", "--concurrency=1")
    task_id = _start(tmp_path, release)
    broker.kill()

    ended = in_a_shell("manage.py", "cancel", task_id, "--terminate")
    broker.start()

    assert ended.stdout == f"{task_id}  cancelled; its process was ended.\n", ended.stderr
    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"
    assert audit.audit().balances


# --- Flower ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def flower(transactional_db: None, clean_broker: Connection, tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Post to the API of a Flower that is as ``make flower`` starts it, and return the status."""
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "project", "flower", "--address=127.0.0.1", f"--port={port}"]
    log = (tmp_path / "flower.log").open("ab")
    variables = {**environment(), "FLOWER_UNAUTHENTICATED_API": "true"}
    program = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log)

    def post(path: str) -> int:
        with urlopen(Request(f"http://127.0.0.1:{port}{path}", method="POST"), timeout=120) as answered:
            return int(answered.status)

    def is_up() -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=5) as answered:
                return bool(answered.status == 200)
        except (URLError, OSError):
            return False

    until(is_up, seconds=60, what=f"Flower; its log is {log.name}")
    yield post
    program.terminate()
    program.wait(120)
    log.close()


def test_flowers_button_is_as_durable_with_all_workers_off(flower: Callable[[str], int]) -> None:
    waiting, ended = probe.add.delay(1, 1).id, probe.add.delay(1, 1).id

    assert flower(f"/api/task/revoke/{waiting}") == 200
    assert flower(f"/api/task/revoke/{ended}?terminate=true") == 200

    assert meta(waiting)["reason"] == meta(ended)["reason"] == "revoked"
    assert not Message.objects.exists()
    assert audit.audit().balances
