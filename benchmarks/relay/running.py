"""What is started to be measured, each a process of its own: a relay, and consumers in place of a worker pool."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until
from tests.workers import Process, until_it_beats


@contextmanager
def relay(folder: Path, *options: str) -> Iterator[Process]:
    """It beats, and runs until the block ends."""
    process = Process([sys.executable, "manage.py", "relay", *options], folder / "relay.log")
    try:
        until_it_beats(process)
        yield process
    finally:
        process.stop()


class Journal:
    """What a taker has noted so far."""

    def __init__(self, path: Path, process: Process) -> None:
        self._path = path
        self.process = process

    def arrivals(self) -> dict[str, float]:
        """Task id → when it came first."""
        found: dict[str, float] = {}
        for line in self._whole_lines():
            moment, _, task_id = line.partition(" ")
            found.setdefault(task_id, float(moment))
        return found

    def waits(self, committed: dict[str, float]) -> list[float]:
        """Seconds from each task's commit to its arrival, once all of them have arrived."""
        until(lambda: committed.keys() <= self.arrivals().keys(), what="the tasks to arrive", seconds=60)
        arrived = self.arrivals()
        return [arrived[task_id] - moment for task_id, moment in committed.items()]

    def count(self) -> int:
        return len(self._whole_lines())

    def _whole_lines(self) -> list[str]:
        return self._path.read_text().split("\n")[1:-1]


@contextmanager
def taking(queue: str, folder: Path, *, rate: int | None = None, held: int = 500) -> Iterator[Journal]:
    """A taker on this queue until the block ends."""
    path = folder / f"taken.{queue}.{time.monotonic_ns()}"
    command = [sys.executable, "-m", "benchmarks.relay.taker", queue, str(path), f"--held={held}"]
    process = Process([*command, f"--rate={rate}"] if rate else command, folder / f"taker.{queue}.log")
    try:
        until(lambda: path.exists() and path.read_text(), what=f"the taker of {queue}")
        yield Journal(path, process)
    finally:
        process.stop()
