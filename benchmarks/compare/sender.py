"""Whoever calls tasks: a process within a contender's application, told by lines of JSON what to send.

``python -m benchmarks.compare.sender ours|stock``
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from itertools import islice
from typing import Any
from uuid import uuid4

import django

IDLE_PAUSE = (0.08, 0.16)
"""Seconds between two calls; at random, so that they do not keep step with anybody's polling."""


class Stock:
    """What stock Celery offers: one confirmed publish for each call."""

    application, tasks = "benchmarks.stock.celery", "benchmarks.stock.tasks"

    def __init__(self) -> None:
        self.app = import_module(self.application).app
        self.app.set_default()
        django.setup()
        tasks = import_module(self.tasks)
        self.noop, self.measure = tasks.noop, tasks.measure

    def single(self, *, count: int, first: int = 0) -> dict[str, float]:
        """``count`` calls of ``delay``, numbered from ``first``. Seconds for all, and for the median one."""
        return _timed(lambda number: self.noop.delay(first + number), count)

    def many(self, *, count: int) -> dict[str, float]:
        """The same in one call."""
        from celery import group

        began = time.perf_counter()
        group(self.noop.s(number) for number in range(count)).apply_async()
        return {"seconds": time.perf_counter() - began}

    def mark(self, *, path: str) -> dict[str, float]:
        import_module(self.tasks).mark.delay(path)
        return {}

    def idle(self, *, count: int, seed: int) -> dict[str, float]:
        """One at a time."""
        chance = random.Random(seed)  # noqa: S311
        for _ in range(count):
            self.measure.delay(time.monotonic())
            time.sleep(chance.uniform(*IDLE_PAUSE))
        return {}

    def load(self, *, rate: float, count: int, seed: int) -> dict[str, float]:
        """Calls that come at random at this rate, whether the earlier ones are done or not. The latest delay of one."""
        due, latest = time.monotonic(), 0.0
        for interval in islice(_intervals(rate, seed), count):
            due += interval
            time.sleep(max(due - time.monotonic(), 0))
            latest = max(latest, time.monotonic() - due)
            self.measure.delay(time.monotonic())
        return {"latest": latest}


class Ours(Stock):
    """The same by the ledger, in transactions."""

    application, tasks = "project.celery", "benchmarks.compare.tasks"
    _open: AbstractContextManager[None] | None = None

    def single(self, *, count: int, first: int = 0) -> dict[str, float]:
        """Each in a transaction that writes a row anyway; the time is that of ``delay`` within it."""
        from django.contrib.auth.models import Group
        from django.db import transaction

        spent = []
        for number in range(count):
            with transaction.atomic():
                Group.objects.create(name=str(uuid4()))
                began = time.perf_counter()
                self.noop.delay(first + number)
                spent.append(time.perf_counter() - began)
        return _figures(spent)

    def committed(self, *, count: int) -> dict[str, float]:
        """With no transaction open: each waits for the disk, and wakes a relay."""
        return _timed(lambda number: self.noop.delay(number), count)

    def many(self, *, count: int) -> dict[str, float]:
        began = time.perf_counter()
        self.noop.enqueue_many((number,) for number in range(count))
        return {"seconds": time.perf_counter() - began}

    def hold(self, *, count: int) -> dict[str, float]:
        """As ``many``, in a transaction that stays open until ``commit``: then all is there at once."""
        from django.db import transaction

        self._open = transaction.atomic()
        self._open.__enter__()
        return self.many(count=count)

    def commit(self) -> dict[str, float]:
        assert self._open is not None  # noqa: S101
        began = time.perf_counter()
        self._open.__exit__(None, None, None)
        return {"seconds": time.perf_counter() - began}


def _timed(call: Callable[[int], Any], count: int) -> dict[str, float]:
    spent = []
    for number in range(count):
        began = time.perf_counter()
        call(number)
        spent.append(time.perf_counter() - began)
    return _figures(spent)


def _figures(spent: list[float]) -> dict[str, float]:
    return {"seconds": sum(spent), "median": sorted(spent)[len(spent) // 2]}


def _intervals(rate: float, seed: int) -> Iterator[float]:
    chance = random.Random(seed)  # noqa: S311
    while True:
        yield chance.expovariate(rate)


def main(side: str) -> None:
    sender = Ours() if side == "ours" else Stock()
    # The first call connects.
    _answer({})
    for line in sys.stdin:
        command = json.loads(line)
        _answer(getattr(sender, command.pop("do"))(**command))


def _answer(figures: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
