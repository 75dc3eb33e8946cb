"""A worker alone is a working system: it brings a relay where none beats."""

import signal
import subprocess
from pathlib import Path

import pytest
from django.utils import timezone

from routing.ledger.tables import Process as Row
from tests import probe
from tests.waiting import until
from tests.workers import StartRelay, StartWorker

pytestmark = [pytest.mark.pipeline, pytest.mark.broker, pytest.mark.any_database]


def relays() -> list[Row]:
    return list(Row.objects.filter(role="relay", dead_at=None))


def children(pid: int) -> list[str]:
    """Their command lines."""
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "args="], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


def test_a_worker_alone_runs_a_task(start_worker: StartWorker, tmp_path: Path) -> None:
    start_worker("reporting", relay=False)

    result = probe.report.delay(str(tmp_path / "journal"))

    until(lambda: result.state == "SUCCESS", what="the outcome")
    assert [relay.embedded for relay in relays()] == [True]


def test_the_embedded_relay_ends_with_its_worker(start_worker: StartWorker) -> None:
    worker = start_worker("reporting", relay=False)
    until(relays, what="the relay")

    assert worker.stop() == 0

    assert not Row.objects.exists()


def test_the_embedded_relay_ends_with_a_worker_that_is_killed(start_worker: StartWorker) -> None:
    worker = start_worker("reporting", relay=False)
    (relay,) = until(relays, what="the relay")

    worker.popen.send_signal(signal.SIGKILL)

    until(lambda: not Row.objects.filter(pk=relay.pk, dead_at=None).exists(), what="the relay's end")


def test_where_a_relay_beats_no_worker_embeds_one(start_worker: StartWorker, start_relay: StartRelay) -> None:
    start_relay()
    worker = start_worker("reporting", relay=False)
    began = timezone.now()

    own = Row.objects.filter(pid=worker.popen.pid)
    until(lambda: (own.get().beat_at - began).total_seconds() > 4, what="some beats")

    assert not [command for command in children(worker.popen.pid) if "relay" in command]


def test_a_worker_steps_in_for_a_relay_that_died(start_worker: StartWorker, start_relay: StartRelay) -> None:
    relay = start_relay()
    start_worker("reporting", relay=False)

    relay.kill()

    until(lambda: [one for one in relays() if one.embedded], what="an embedded relay")
