"""A worker that is stopped: what runs may finish, and what takes longer is given back in time, uncounted."""

import fcntl
import os
import signal
import struct
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from django_celery_results.models import TaskResult
from kombu import Connection

from routing.ledger.tables import DeadLetter, Message, Process
from tests import probe as typed_probe
from tests.waiting import until
from tests.workers import StartWorker, is_idle

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.django_db(transaction=True)]

STOP_WITHIN = 12
"""Seconds, the fewest there may be: two for what runs, ten to give it back."""
RUN_LIMIT = 5


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tmp_path / "release"


def until_it_runs(handle: Any) -> None:
    until(lambda: Message.objects.filter(pk=handle.id, state="STARTED").exists(), what="the run")


def outcome(handle: Any) -> TaskResult:
    return until(TaskResult.objects.filter(task_id=handle.id).first, what="the outcome")


def child_of(pid: int) -> int:
    return until(lambda: [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()])[-1]


@pytest.mark.parametrize("name", ["wait_for_file", "cling"])
def test_what_does_not_finish_in_time_runs_elsewhere_and_its_run_does_not_count(
    name: str, start_worker: StartWorker, journal: str, release: Path
) -> None:
    worker = start_worker("reporting", TASKYARD_STOP_WITHIN=str(STOP_WITHIN))
    handle = getattr(probe, name).delay(journal, str(release))
    until_it_runs(handle)
    # Another death of its own, and it would be poison.
    Message.objects.update(runs=RUN_LIMIT)
    began = time.monotonic()

    worker.popen.send_signal(signal.SIGTERM)
    worker.popen.wait(STOP_WITHIN)

    assert STOP_WITHIN - 10 <= time.monotonic() - began < STOP_WITHIN
    message = Message.objects.get()
    assert (message.runs, message.owner, message.state) == (RUN_LIMIT - 1, None, "PENDING")
    assert not Process.objects.filter(role="worker").exists()
    release.touch()
    start_worker("reporting")
    assert (outcome(handle).status, outcome(handle).result) == ("SUCCESS", "2")


def test_what_finishes_in_time_is_not_waited_for_longer(start_worker: StartWorker, journal: str, release: Path) -> None:
    worker = start_worker("reporting", TASKYARD_STOP_WITHIN="60")
    handle = probe.wait_for_file.delay(journal, str(release))
    until_it_runs(handle)

    worker.popen.send_signal(signal.SIGTERM)
    worker.until_it_says("Warm shutdown")
    release.touch()

    assert worker.popen.wait(45) == 0
    assert outcome(handle).result == "1"


def test_what_had_no_time_to_tell_that_it_began_is_ended_too(
    start_worker: StartWorker, clean_broker: Connection, journal: str, release: Path
) -> None:
    worker = start_worker("reporting", "--concurrency=1")
    main, child = worker.popen.pid, child_of(worker.popen.pid)
    # Until it has told that it is there, and then that it is done, it is given nothing.
    outcome(probe.add.delay(1, 2))
    until(lambda: is_idle(clean_broker), what="its main process to know")
    os.kill(child, signal.SIGSTOP)
    handle = probe.wait_for_file.delay(journal, str(release))
    until(lambda: lies_before(child), what="the job written")
    os.kill(main, signal.SIGSTOP)
    os.kill(child, signal.SIGCONT)
    until_it_runs(handle)

    os.kill(main, signal.SIGQUIT)
    os.kill(main, signal.SIGCONT)

    worker.popen.wait(30)
    assert Message.objects.get().runs == 0


@pytest.mark.one_database
def test_a_hurried_worker_that_never_gets_out_of_its_signal_handler_ends_all_the_same(
    start_worker: StartWorker, journal: str, release: Path
) -> None:
    worker = start_worker(
        "reporting",
        "--include=tests.probe,tests.worker.never_ends",
        TASKYARD_STOP_WITHIN=str(STOP_WITHIN),
        TASKYARD_DEAD_AFTER="5",
    )
    handle = probe.wait_for_file.delay(journal, str(release))
    until_it_runs(handle)
    began = time.monotonic()

    worker.popen.send_signal(signal.SIGQUIT)
    worker.popen.wait(60)

    assert time.monotonic() - began >= STOP_WITHIN
    assert worker.says("Timeout (0:00:12)!")
    assert worker.says("never_ends.py")
    release.touch()
    start_worker("reporting", TASKYARD_DEAD_AFTER="5")
    assert (outcome(handle).status, outcome(handle).result) == ("SUCCESS", "2")


def lies_before(pid: int) -> bool:
    """Whether a pipe that this process reads from holds anything."""
    return any(in_pipe(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())


def in_pipe(entry: Path) -> bool:
    flags = (entry.parents[1] / "fdinfo" / entry.name).read_text().split("flags:")[1].split()[0]
    if not str(entry.readlink()).startswith("pipe:") or int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
        return False
    ours = os.open(entry, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return bool(struct.unpack("i", fcntl.ioctl(ours, termios.FIONREAD, bytes(4)))[0])
    finally:
        os.close(ours)


def test_what_may_start_once_is_not_given_back(start_worker: StartWorker, journal: str, release: Path) -> None:
    worker = start_worker("reporting", TASKYARD_STOP_WITHIN=str(STOP_WITHIN))
    handle = probe.wait_once.delay(journal, str(release))
    until_it_runs(handle)

    worker.popen.send_signal(signal.SIGTERM)
    worker.popen.wait(STOP_WITHIN)

    assert outcome(handle).status == "FAILURE"
    assert DeadLetter.objects.get().reason == "crashed"
    assert Path(journal).read_text().split() == ["run"]
