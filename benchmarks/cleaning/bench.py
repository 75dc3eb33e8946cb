"""The pipeline's throughput beside each clean-up, and without; its time, longest transaction and memory.

Ours is stopped and goes on, a stretch with it and one without in turn, as the machine's own speed changes by more than
a clean-up costs. What vacuum does afterwards falls into both. Stock Celery's is one transaction: before, beside, after.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from django_celery_results.models import TaskResult

from benchmarks.cleaning import rows as results
from benchmarks.compare.tasks import noop
from benchmarks.relay import running
from benchmarks.relay.services import Running
from benchmarks.relay.sheet import Sheet
from reporting.rollups import gathering
from routing.ledger import audit, tally
from routing.ledger.tables import Message
from routing.ledger.tables import Process as known  # noqa: N813
from tests.waiting import until
from tests.workers import Process

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "taskyard cleaning"
LOOK_EVERY = 0.02
BACKLOG = 3_000
MEGABYTE = 1024


@dataclass(frozen=True)
class Run:
    """A clean-up: seconds, the longest transaction that was seen, megabytes at most, tasks a second beside it."""

    seconds: float
    longest: float
    memory: float
    rate: float
    usual: float
    """Tasks a second without it."""

    @property
    def kept(self) -> float:
        return round(self.rate / self.usual, 3)


class Stretches:
    """Seconds, and the tasks that came to their outcome in them."""

    def __init__(self) -> None:
        self.seconds, self._tasks = 0.0, 0

    @contextmanager
    def one(self) -> Iterator[None]:
        finished, began = _finished(), time.monotonic()
        yield
        self._tasks += _finished() - finished
        self.seconds += time.monotonic() - began

    @property
    def rate(self) -> float:
        return self._tasks / self.seconds


def measure(
    services: Running, sheet: Sheet, *, rows: int, stretch: int, stock: bool, stock_receivers: bool
) -> dict[str, Any]:
    sheet.say(f"{rows:,} results are made")
    results.make(rows)
    url = os.environ["DATABASE_URL"]
    results.tidy_and_copy(url, "stock")
    # In production that is done every five minutes, and a clean-up finds little left to count.
    sheet.say("… and counted into the roll-ups by the hour")
    gathering.roll_up(budget=timedelta(hours=1))
    expired = _expired()
    figures: dict[str, Any] = {"rows": rows, "expired": expired}
    with pipeline(services):
        figures |= _ours(sheet, expired, url, stretch)
        if stock:
            figures |= _stock(sheet, f"{url.rpartition('/')[0]}/stock", stretch, receivers=stock_receivers)
    return figures


def _ours(sheet: Sheet, expired: int, url: str, stretch: int) -> dict[str, Any]:
    run = _in_turns(url, stretch)
    left = _expired()
    balances = audit.audit().balances
    _tell(sheet, "manage.py cleanup", run)
    if left or not balances:
        raise SystemExit(f"{left:,} of {expired:,} expired results are left, or the books do not balance.")
    return {
        "seconds": round(run.seconds, 1),
        "longest_transaction_s": round(run.longest, 3),
        "memory_mb": round(run.memory),
        "tasks_per_s": {"beside": round(run.rate), "without": round(run.usual)},
        "throughput_kept": run.kept,
    }


def _stock(sheet: Sheet, url: str, stretch: int, *, receivers: bool) -> dict[str, Any]:
    run = _at_once(url, stretch, receivers=receivers)
    _tell(sheet, "celery.backend_cleanup", run)
    return {
        "stock_seconds": round(run.seconds, 1),
        "stock_longest_transaction_s": round(run.longest, 3),
        "stock_memory_mb": round(run.memory),
        "stock_throughput_kept": run.kept,
        "stock_has_receivers": receivers,
    }


def _tell(sheet: Sheet, name: str, run: Run) -> None:
    sheet.say(
        f"{name:24} {run.seconds:6.1f} s, longest transaction {run.longest:6.2f} s, {run.memory:5.0f} MB; "
        f"tasks/s beside it {run.rate:.0f}, without {run.usual:.0f}"
    )


def _expired() -> int:
    return int(
        TaskResult.objects.extra(where=["date_done < now() - interval '30 days'"]).filter(status="SUCCESS").count()
    )


def _in_turns(url: str, stretch: int) -> Run:
    """Ours."""
    beside, without = Stretches(), Stretches()
    process, complete, memory = _started(["-m", "benchmarks.cleaning.ours"], url), False, 0
    with _watching(PROGRAM) as longest:
        while not complete:
            with without.one():
                time.sleep(stretch)
            with beside.one():
                complete, memory = _turn(process, stretch)
        process.communicate()
        with without.one():
            time.sleep(stretch)
    return Run(beside.seconds, max(longest), memory / MEGABYTE, beside.rate, without.rate)


def _turn(process: subprocess.Popen[str], seconds: int) -> tuple[bool, int]:
    """Whether it is done, and its kilobytes so far."""
    if process.stdin is None or process.stdout is None:
        raise SystemExit("The clean-up was started without pipes.")
    process.stdin.write(f"{seconds}\n")
    process.stdin.flush()
    told = process.stdout.readline().split()
    if len(told) != 2:
        raise SystemExit(f"The clean-up ended with {process.wait()}.")
    return told[0] == "1", int(told[1])


def _at_once(url: str, stretch: int, *, receivers: bool) -> Run:
    """Stock Celery's."""
    beside, without = Stretches(), Stretches()
    process = _started(["-m", "benchmarks.cleaning.stock", *(["receivers"] if receivers else [])], url)
    with without.one():
        time.sleep(stretch)
    with _watching(PROGRAM) as longest, beside.one():
        output, _ = process.communicate("\n")
    if process.returncode:
        raise SystemExit(f"The clean-up ended with {process.returncode}: {output}")
    with without.one():
        time.sleep(stretch)
    return Run(beside.seconds, max(longest), int(output.split()[-1]) / MEGABYTE, beside.rate, without.rate)


def _started(arguments: Sequence[str], url: str) -> subprocess.Popen[str]:
    """In a process of its own, whose memory is its own. Returns when it is ready, as a worker is in which it is due."""
    variables = {"DATABASE_URL": url, "STOCK_DATABASE_URL": url, "PGAPPNAME": PROGRAM}
    command = [sys.executable, *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdin=pipe, stdout=pipe, text=True)
    if process.stdout is None or process.stdout.readline() != "ready\n":
        raise SystemExit(f"The clean-up ended with {process.wait()}.")
    return process


@contextmanager
def _watching(name: str) -> Iterator[list[float]]:
    """How long transactions of this program have been open, looked at fifty times a second."""
    seen, ended = [0.0], threading.Event()
    watch = threading.Thread(target=_watch, args=(name, seen, ended), daemon=True)
    watch.start()
    try:
        yield seen
    finally:
        ended.set()
        watch.join()


def _watch(name: str, seen: list[float], ended: threading.Event) -> None:
    question = (
        "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity "
        "WHERE application_name = %s AND xact_start IS NOT NULL"
    )
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        while not ended.wait(LOOK_EVERY):
            (age,) = connection.execute(question, [name]).fetchone() or (0.0,)
            seen.append(age)


def _finished() -> int:
    return sum(books.finished for books in tally.books().values())


@contextmanager
def pipeline(services: Running) -> Iterator[None]:
    """A relay, a pool of two processes, and more work than they can do."""
    folder, ended = services.folder, threading.Event()
    with ExitStack() as stack:
        stack.enter_context(running.relay(folder))
        command = [sys.executable, "manage.py", "pool", "notifications", "--", "--include=benchmarks.compare.tasks"]
        worker = Process([*command, "--concurrency=2"], folder / "worker.log")
        stack.callback(worker.kill)
        beats = known.objects.filter(pid=worker.popen.pid)
        until(beats.exists, seconds=180, what="the pool")
        sender = threading.Thread(target=_send, args=(ended,))
        sender.start()
        stack.callback(sender.join)
        stack.callback(ended.set)
        begun = _finished()
        until(lambda: _finished() > begun + 1_000, seconds=120, what="the pipeline to be at work")
        yield


def _send(ended: threading.Event) -> None:
    """As many as are done, so that sending takes the same share all the time."""
    while not ended.wait(0.5):
        if Message.objects.count() < BACKLOG:
            noop.enqueue_many(  # type: ignore[attr-defined]
                [[number] for number in range(1_000)]
            )
