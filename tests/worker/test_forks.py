"""Children forked while a thread of the main process uses the database inherit none of its locks."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from django.db import connections

ROOT = Path(__file__).resolve().parents[2]

CHILDREN = 200
CHILD_ENDS_WITHIN = 10.0


def test_a_child_forked_while_a_settlement_is_written_and_its_connection_closed_can_use_the_database(
    tmp_path: Path,
) -> None:
    """In a process of its own: this one's threads are not ours to fork beside."""
    command = [sys.executable, "-m", "tests.worker.test_forks", str(tmp_path / "shared.sqlite3")]
    variables = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.sqlite3'}"}

    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, f"{CHILDREN} children\n"), done.stderr


def fork_beside_settlements(path: Path) -> None:
    import django

    django.setup()
    from routing.worker.request import SETTLEMENTS, Job

    def settle() -> None:
        for name in connections:
            connections[name].ensure_connection()

    def again(_: object) -> None:
        SETTLEMENTS.put(Job("settled", settle, then=again))

    again(None)
    for _ in range(CHILDREN):
        pid = os.fork()
        if pid == 0:
            sqlite3.connect(path).execute("PRAGMA user_version").fetchone()
            os._exit(0)
        _require_end(pid)
    sys.stdout.write(f"{CHILDREN} children\n")
    sys.stdout.flush()
    os._exit(0)


def _require_end(pid: int) -> None:
    deadline = time.monotonic() + CHILD_ENDS_WITHIN
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            sys.stderr.write("A child waits for a lock that was held when it was forked.\n")
            os._exit(1)
        os.sched_yield()
    if ended[1] != 0:
        os._exit(2)


if __name__ == "__main__":
    fork_beside_settlements(Path(sys.argv[1]))
