"""Tasks that only the tests' workers know, named into real domains; ``--include tests.probe`` loads them."""

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import shared_task

from routing.errors import PermanentError, TransientError

SHORTLY = timedelta(milliseconds=200)


def note(journal: str, line: str) -> int:
    """Append a line to a file and return how many it has: what a body did, seen from outside."""
    path = Path(journal)
    with path.open("a") as file:
        file.write(f"{line}\n")
    return len(path.read_text().splitlines())


@shared_task(name="notifications.probe")
def notify(journal: str) -> dict[str, Any]:
    return {"runs": note(journal, "notifications.probe"), "text": "größer"}


@shared_task(name="reporting.probe")
def report(journal: str) -> int:
    return note(journal, "reporting.probe")


@shared_task(name="reporting.probe_silent", ignore_result=True)
def report_silently(journal: str) -> int:
    return note(journal, "reporting.probe_silent")


@shared_task(name="reporting.probe_replace", bind=True)
def count_down(self: Any, number: int) -> int:
    """Replaces itself, under its own id, until it reaches zero."""
    if number:
        raise self.replace(count_down.s(number - 1))
    return number


@shared_task(name="reporting.probe_hurry", soft_time_limit=2, time_limit=30)
def hurry(journal: str) -> int:
    return note(journal, "reporting.probe_hurry")


@shared_task(name="reporting.probe_add")
def add(first: int, second: int) -> int:
    return first + second


@shared_task(name="reporting.probe_sum")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(name="reporting.probe_retry", bind=True)
def succeed_at_third_run(self: Any, journal: str) -> int:
    runs = note(journal, "run")
    if runs < 3:
        raise TransientError("not yet", retry_after=SHORTLY)
    return runs


@shared_task(name="reporting.probe_retry_by_policy")
def fail_for_a_passing_reason() -> None:
    raise TransientError("the other side is busy")


@shared_task(name="reporting.probe_fail")
def fail_for_good() -> None:
    raise PermanentError("no such address: a\0b")


@shared_task(name="reporting.probe_kill")
def kill_its_process(journal: str) -> None:
    note(journal, "run")
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="reporting.probe_overrun", soft_time_limit=None, time_limit=1)  # type: ignore[call-overload]
def overrun() -> None:
    threading.Event().wait(60)


@shared_task(name="reporting.probe_wait", bind=True)
def wait_for_file(self: Any, journal: str, release: str) -> int:
    """Run until the file ``release`` exists."""
    runs = note(journal, "run")
    pause = threading.Event()
    while not Path(release).exists():
        pause.wait(0.05)
    return runs
