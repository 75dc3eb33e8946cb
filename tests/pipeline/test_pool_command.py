"""``manage.py pool``, by which a supervisor keeps one pool."""

import sys
from pathlib import Path

import pytest
from kombu import Connection

from routing.worker import pools
from tests.workers import Process

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]


def test_the_command_becomes_the_worker_itself(
    transactional_db: None, clean_broker: Connection, tmp_path: Path
) -> None:
    pool = Process([sys.executable, "manage.py", "pool", "reporting"], tmp_path / "log")
    try:
        pool.until_it_says(" ready.")
        command = Path(f"/proc/{pool.popen.pid}/cmdline").read_text().rstrip("\0").split("\0")
    finally:
        pool.kill()

    assert command == pools.command(pools.get("reporting"))
