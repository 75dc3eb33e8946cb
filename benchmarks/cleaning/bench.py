"""The pipeline's throughput before, beside and after each clean-up; its time, longest transaction and memory."""

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
    with _pipeline(services):
        figures |= _ours(sheet, expired, url, stretch)
        if stock:
            figures |= _stock(sheet, f"{url.rpartition('/')[0]}/stock", stretch, receivers=stock_receivers)
    return figures


def _ours(sheet: Sheet, expired: int, url: str, stretch: int) -> dict[str, Any]:
    before = _rate(stretch)
    run = _clean(["-m", "benchmarks.cleaning.ours"], url)
    after = _rate(stretch)
    left = _expired()
    balances = audit.audit().balances
    _tell(sheet, "manage.py cleanup", run, before, after)
    if left or not balances:
        raise SystemExit(f"{left:,} of {expired:,} expired results are left, or the books do not balance.")
    usual = (before + after) / 2
    return {
        "seconds": round(run.seconds, 1),
        "longest_transaction_s": round(run.longest, 3),
        "memory_mb": round(run.memory),
        "tasks_per_s": {"before": round(before), "beside": round(run.rate), "after": round(after)},
        "throughput_kept": round(run.rate / usual, 3),
    }


def _stock(sheet: Sheet, url: str, stretch: int, *, receivers: bool) -> dict[str, Any]:
    before = _rate(stretch)
    arguments = ["-m", "benchmarks.cleaning.stock", *(["receivers"] if receivers else [])]
    run = _clean(arguments, url)
    after = _rate(stretch)
    _tell(sheet, "celery.backend_cleanup", run, before, after)
    return {
        "stock_seconds": round(run.seconds, 1),
        "stock_longest_transaction_s": round(run.longest, 3),
        "stock_memory_mb": round(run.memory),
        "stock_throughput_kept": round(2 * run.rate / (before + after), 3),
        "stock_has_receivers": receivers,
    }


def _tell(sheet: Sheet, name: str, run: Run, before: float, after: float) -> None:
    sheet.say(
        f"{name:24} {run.seconds:6.1f} s, longest transaction {run.longest:6.2f} s, {run.memory:5.0f} MB; "
        f"tasks/s before {before:.0f}, beside {run.rate:.0f}, after {after:.0f}"
    )


def _expired() -> int:
    return int(
        TaskResult.objects.extra(where=["date_done < now() - interval '30 days'"]).filter(status="SUCCESS").count()
    )


def _clean(arguments: Sequence[str], url: str) -> Run:
    """In a process of its own, whose memory is its own."""
    name = "taskyard cleaning"
    variables = {"DATABASE_URL": url, "STOCK_DATABASE_URL": url, "PGAPPNAME": name}
    finished, began = _finished(), time.monotonic()
    with _watching(name) as longest:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=os.environ | variables, stdout=subprocess.PIPE, text=True
        )
        output, _ = process.communicate()
        seconds = time.monotonic() - began
        done = _finished() - finished
    if process.returncode:
        raise SystemExit(f"The clean-up ended with {process.returncode}: {output}")
    return Run(seconds, max(longest), int(output.split()[-1]) / MEGABYTE, done / seconds)


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


def _rate(seconds: float) -> float:
    """Tasks that come to their outcome in a second."""
    finished, began = _finished(), time.monotonic()
    time.sleep(seconds)
    return (_finished() - finished) / (time.monotonic() - began)


def _finished() -> int:
    return sum(books.finished for books in tally.books().values())


@contextmanager
def _pipeline(services: Running) -> Iterator[None]:
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
