"""``python -m benchmarks.replay``: replaying dead letters by filter, how long it takes and how much memory.

With services of its own. A run of a hundredth of the rows comes first, so that the memory of both can be compared.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[1]
BODY = '[[], {"text": "%s"}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]' % ("x" * 900)
AT_ONCE = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="dead letters, of a kilobyte each (100000)")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    given = parser.parse_args()
    os.environ["TEST_DATABASE"] = given.database
    from benchmarks.relay import services

    with services.running():
        for count in (given.count // 100, given.count):
            _make(count)
            seconds, megabytes = _replay()
            sys.stdout.write(
                f"{count:>9,} replayed in {seconds:6.1f} s ({count / seconds:,.0f}/s), {megabytes:.0f} MB at most\n"
            )
        _check(given.count + given.count // 100)


def _make(count: int) -> None:
    from django.utils import timezone
    from django_celery_results.models import TaskResult

    from routing.ledger.tables import DeadLetter, Tally

    known = {"task": "reporting.weekly", "domain": "reporting", "queue": "reporting", "headers": '{"lang": "py"}'}
    known |= {"properties": "{}", "body": BODY, "reason": "failed"}
    for start in range(0, count, AT_ONCE):
        ids = [str(uuid4()) for _ in range(min(AT_ONCE, count - start))]
        DeadLetter.objects.bulk_create(DeadLetter(task_id=one, error=f"KeyError: {one}", **known) for one in ids)
        meta, now = '{"domain": "reporting", "children": []}', timezone.now()
        TaskResult.objects.bulk_create(
            TaskResult(task_id=one, task_name="reporting.weekly", status="FAILURE", meta=meta, date_done=now)
            for one in ids
        )
    Tally.objects.create(domain="reporting", accepted=count, finished=count)


def _replay() -> tuple[float, float]:
    """Seconds, and the most megabytes that any child has had until now; each run needs no less than the one before."""
    began = time.monotonic()
    command = [sys.executable, "manage.py", "dead_letters", "replay", "--error", "keyerror", "--yes"]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _check(count: int) -> None:
    from routing.ledger import audit
    from routing.ledger.tables import DeadLetter, Message

    new = DeadLetter.objects.filter(state="replayed").values("replayed_as").distinct().count()
    if not (new == Message.objects.count() == count and audit.audit().balances):
        raise SystemExit(f"Of {count:,}, {new:,} were replayed, or the books do not balance.")


if __name__ == "__main__":
    main()
