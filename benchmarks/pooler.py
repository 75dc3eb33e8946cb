"""``TEST_DATABASE=postgresql python -m benchmarks.pooler``: what a call costs behind PgBouncer in transaction mode.

The same process makes the calls, by turns straight to PostgreSQL and through PgBouncer, on the same machine.
"""

import os
import sys
import time
from collections.abc import Callable
from statistics import median

os.environ.setdefault("TEST_DATABASE", "postgresql")

from benchmarks.relay import services
from tests import services as tests
from tests.free_ports import free_port
from tests.private_pgbouncer import PgBouncer

ROUNDS, CALLS = 15, 40


def main() -> None:
    with services.running() as running:
        # It runs as another user.
        running.folder.chmod(0o755)
        bouncer = PgBouncer(running.folder / "pgbouncer", free_port(), server_port=tests.POSTGRESQL_PORT)
        bouncer.start()
        try:
            _compare({"PostgreSQL itself": tests.POSTGRESQL_PORT, "through PgBouncer": bouncer.port})
        finally:
            bouncer.kill()


def _compare(ways: dict[str, int]) -> None:
    from notifications.tasks import send_email
    from routing.ledger import database, processes

    def enqueue() -> None:
        send_email.delay(subject="", text="", to=["nobody@example.com"])

    identity = processes.register("worker", "benchmark")
    verbs: dict[str, Callable[[], object]] = {
        "SELECT 1": lambda: database.rows("SELECT 1"),
        "a beat, one UPDATE": lambda: processes.beat(identity),
        "delay()": enqueue,
    }
    for verb, call in verbs.items():
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, port in ways.items():
                found[name].append(_seconds(call, port))
        for name, seconds in found.items():
            sys.stdout.write(f"{verb:20} {name:20} {median(seconds) * 1e3:5.2f} ms\n")


def _seconds(call: Callable[[], object], port: int) -> float:
    from routing.ledger import database

    connection = database.connection()
    connection.close()
    connection.settings_dict["PORT"] = port
    # The first makes the connection.
    call()
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS


if __name__ == "__main__":
    main()
