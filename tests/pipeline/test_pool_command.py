"""``manage.py pool``, by which a supervisor keeps one pool."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from kombu import Connection

from routing.domains import registry
from routing.ledger import tables
from routing.worker import pools
from tests.waiting import until
from tests.workers import ROOT, Process, environment

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]

POOL = [sys.executable, "manage.py", "pool", "reporting"]


def test_the_process_is_the_worker_itself_and_obeys_a_supervisor(
    transactional_db: None, clean_broker: Connection, tmp_path: Path
) -> None:
    pool = Process(POOL, tmp_path / "log")
    try:
        pool.until_it_says(" ready.")
        known = tables.Process.objects.filter(pid=pool.popen.pid, role="worker", dead_at=None)
        row = until(known.first, what="the worker's row")
        assert pool.stop() == 0
    finally:
        pool.kill()

    assert row.name.startswith("reporting@")
    assert not known.exists()


@pytest.mark.any_database
def test_a_nice_lanes_children_give_way_and_their_main_process_does_not(
    transactional_db: None, clean_broker: Connection, tmp_path: Path
) -> None:
    pool = Process([*POOL[:-1], "notifications.bulk"], tmp_path / "log")
    try:
        pool.until_it_says(" ready.")
        main = pool.popen.pid
        children = [int(pid) for pid in Path(f"/proc/{main}/task/{main}/children").read_text().split()]
        nice = min(niceness(main) + registry().pools["notifications.bulk"].lane.nice, 19)
        until(lambda: any(niceness(pid) == nice > niceness(main) for pid in children), what="a nice child")
        assert niceness(main) == niceness(os.getpid())
    finally:
        pool.kill()


def niceness(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def test_a_pool_that_may_patch_python_begins_as_celerys_own_command(
    transactional_db: None, clean_broker: Connection, tmp_path: Path
) -> None:
    pool = Process([*POOL, "--", "--pool=threads"], tmp_path / "log")
    try:
        pool.until_it_says(" ready.")
        command = Path(f"/proc/{pool.popen.pid}/cmdline").read_text().rstrip("\0").split("\0")
    finally:
        pool.kill()

    assert command[1:5] == ["-m", "celery", "--app=project", "--quiet"]
    assert command[-1] == "--pool=threads"


@pytest.mark.any_database
@pytest.mark.parametrize("options", [["--concurrency=4"], ["--concurrency", "4"], ["-c", "4"]])
def test_celerys_options_in_the_wrong_place_are_told_where_they_go(options: list[str]) -> None:
    with pytest.raises(CommandError, match=r"after two dashes, such as: .* -- --concurrency=4"):
        call_command("pool", "reporting", *options)


@pytest.mark.any_database
def test_a_wrong_option_is_named_and_nothing_starts() -> None:
    ended = _run([*POOL, "--", "--nonsense=1"])

    assert ended.returncode == 2
    assert "No such option '--nonsense'" in ended.stderr


@pytest.mark.any_database
def test_a_start_loads_nothing_that_only_the_web_or_flower_needs() -> None:
    ended = _run([sys.executable, "-X", "importtime", *pools.command(pools.get("reporting"), ["--help"])[1:]])

    assert ended.returncode == 0, ended.stderr[-2000:]
    loaded = set(re.findall(r"\|\s+(\S+)$", ended.stderr, re.MULTILINE))
    assert {"celery.bin.worker", "django.contrib.admin", "routing.worker.task"} <= loaded
    web = {"flower", "tornado", "click_repl", "ninja", "pydantic", "rich", "structlog", "routing.admin", "project.urls"}
    assert not web & loaded


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )
