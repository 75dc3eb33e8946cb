"""``python -m benchmarks.bulk``: replaying dead letters by filter, and cancelling tasks: how long and how much memory.

With services of its own. A run of a hundredth of the rows comes first, so that the memory of both can be compared.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BODY = '[[], {"text": "%s"}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]' % ("x" * 900)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="dead letters, of a kilobyte each (100000)")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    given = parser.parse_args()
    os.environ["TEST_DATABASE"] = given.database
    from benchmarks.relay import services

    with services.running():
        for count in (given.count // 100, given.count):
            _make(count)
            _run("replayed", count, "dead_letters", "replay", "--error", "keyerror")
            _check(count)
            _run("cancelled", count, "cancel", "--task", "reporting.*")
            _check_cancelled(count)
            _clear()


def _make(count: int) -> None:
    """Failed tasks with their results, made by the database."""
    # ruff: noqa: S608  (nothing in it comes from outside)
    from routing.ledger import database
    from routing.ledger.tables import Tally

    some_id = "md5(random()::text || i)" if database.on_postgresql() else "lower(hex(randomblob(16)))"
    numbers = f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {count})"
    database.execute(
        f"{numbers} INSERT INTO routing_deadletter (task_id, task, domain, queue, headers, body, reason, error, "
        f"dead_at) SELECT {some_id}, 'reporting.weekly', 'reporting', 'reporting', '{{}}', %s, 'failed', "
        f"'KeyError: ' || i, {database.now_sql()} FROM numbers",
        [BODY],
    )
    database.execute(
        "INSERT INTO django_celery_results_taskresult (task_id, task_name, status, meta, content_type, "
        "content_encoding, date_created, date_done) SELECT task_id, task, 'FAILURE', '{\"domain\": \"reporting\"}', "
        f"'application/json', 'utf-8', {database.now_sql()}, {database.now_sql()} FROM routing_deadletter "
        "WHERE state = 'open'"
    )
    Tally.objects.create(domain="reporting", accepted=count, finished=count)


def _run(deed: str, count: int, *command: str) -> None:
    """Tell seconds, and the most megabytes that any child has had until now; each needs no less than the one before."""
    began = time.monotonic()
    subprocess.run([sys.executable, "manage.py", *command, "--yes"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - began
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    sys.stdout.write(
        f"{count:>9,} {deed:9} in {seconds:6.1f} s ({count / seconds:6,.0f}/s), {megabytes:.0f} MB at most\n"
    )
    sys.stdout.flush()


def _check(count: int) -> None:
    from routing.ledger import audit
    from routing.ledger.tables import DeadLetter, Message

    new = DeadLetter.objects.filter(state="replayed").values("replayed_as").distinct().count()
    if not (new == Message.objects.count() == count and audit.audit().balances):
        raise SystemExit(f"Of {count:,}, {new:,} were replayed, or the books do not balance.")


def _check_cancelled(count: int) -> None:
    from django_celery_results.models import TaskResult

    from routing.ledger import audit
    from routing.ledger.tables import Message

    revoked = TaskResult.objects.filter(status="REVOKED").count()
    if Message.objects.exists() or revoked != count or not audit.audit().balances:
        raise SystemExit(f"Of {count:,}, {revoked:,} were cancelled, or the books do not balance.")


def _clear() -> None:
    from routing.ledger import database

    for table in ("deadletter", "outbox", "tally"):
        database.execute(f"DELETE FROM routing_{table}")
    database.execute("DELETE FROM django_celery_results_taskresult")


if __name__ == "__main__":
    main()
