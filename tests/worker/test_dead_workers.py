"""What becomes of the tasks of a worker that died, or that only seemed to."""

import signal
import time
from pathlib import Path

import pytest

from routing.ledger.tables import Process as Row
from tests import probe
from tests.waiting import until
from tests.workers import StartWorker

pytestmark = [pytest.mark.pipeline, pytest.mark.broker, pytest.mark.one_database]

WITHIN = 60
"""Seconds, as promised."""


def test_a_dead_workers_task_runs_elsewhere_within_a_minute(start_worker: StartWorker, tmp_path: Path) -> None:
    journal, release = tmp_path / "journal", tmp_path / "release"
    first = start_worker("reporting")
    result = probe.wait_for_file.delay(str(journal), str(release))
    until(lambda: probe.runs(journal) == 1, what="the first run")
    start_worker("reporting", "--hostname=second@%h")

    first.kill()
    died_at = time.monotonic()

    until(lambda: probe.runs(journal) == 2, seconds=WITHIN, what="the second run")
    assert time.monotonic() - died_at < WITHIN
    release.touch()
    until(lambda: result.state == "SUCCESS", what="the outcome")
    assert result.get() == 2


def test_a_frozen_workers_task_runs_elsewhere_and_its_own_run_is_dropped(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    journal, release = tmp_path / "journal", tmp_path / "release"
    first = start_worker("reporting", "--concurrency=1")
    result = probe.wait_for_file.delay(str(journal), str(release))
    until(lambda: probe.runs(journal) == 1, what="the first run")
    own = Row.objects.get(pid=first.popen.pid)
    start_worker("reporting", "--hostname=second@%h")

    first.popen.send_signal(signal.SIGSTOP)
    until(lambda: probe.runs(journal) == 2, seconds=WITHIN, what="the second run")
    first.popen.send_signal(signal.SIGCONT)
    anew = Row.objects.filter(pid=first.popen.pid, dead_at=None).exclude(pk=own.pk)
    until(anew.exists, what="the first worker to start anew")
    release.touch()

    until(lambda: result.state == "SUCCESS", what="the outcome")
    assert result.get() == 2
