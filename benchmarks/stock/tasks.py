"""The same two tasks as benchmarks/compare/tasks.py, and one that shows how far a worker without results has come."""

import time
from pathlib import Path

from celery import shared_task


@shared_task(name="stock.noop")
def noop(number: int) -> None:
    pass


@shared_task(name="stock.measure")
def measure(sent_at: float) -> float:
    return time.monotonic() - sent_at


@shared_task(name="stock.mark")
def mark(path: str) -> None:
    Path(path).write_text(str(time.time()))
