"""What is to be written together with something else: tasks, chord counters, results, and parts of chords.

Canvas calls send many tasks one by one, and a task's links, chain and errbacks are sent before its outcome is stored.
A ``Continuation`` takes all of that in, so that one transaction can write it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celery.result import AsyncResult

from routing.ledger.enqueue import Envelope
from routing.ledger.settle import Outcome


@dataclass(frozen=True, slots=True)
class Counter:
    """A chord that waits for its members: how many, and Celery's tuples of their results, as JSON."""

    group_id: str
    count: int
    sub_tasks: str


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result for an id that has no message of its own, such as a later link of a chain that failed."""

    task_id: str
    task: str | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Part:
    """A chord's member that has come to its outcome. ``body`` is the chord's signature, as JSON-able dict."""

    task_id: str
    group_id: str
    body: Any


@dataclass(frozen=True, slots=True)
class Key:
    """A unique key that one of the tasks wants. ``handle``, which its caller has, becomes that of the key's holder."""

    key: str
    task_id: str
    seconds: float | None
    handle: AsyncResult[Any]


@dataclass(slots=True)
class Continuation:
    envelopes: list[Envelope] = field(default_factory=list)
    counters: list[Counter] = field(default_factory=list)
    results: list[StoredResult] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    """Of ``envelopes``: without those there is none."""

    def __bool__(self) -> bool:
        return bool(self.envelopes or self.counters or self.results or self.parts)


class _Local(threading.local):
    collecting: Continuation | None = None
    announced: Counter | None = None


_local = _Local()


def collecting() -> Continuation | None:
    """What takes in this thread's sends just now, if anything does."""
    return _local.collecting


@contextmanager
def collect() -> Iterator[Continuation]:
    """Take in everything that is sent in this thread. Within another one, that one goes on taking it in."""
    outer = _local.collecting
    inner = outer if outer is not None else Continuation()
    _local.collecting = inner
    try:
        yield inner
    finally:
        _local.collecting = outer


@contextmanager
def apart() -> Iterator[Continuation]:
    """As ``collect``, but always into a new one."""
    outer, _local.collecting = _local.collecting, Continuation()
    try:
        yield _local.collecting
    finally:
        _local.collecting = outer


def announce(counter: Counter) -> None:
    """A chord's counter, which Celery makes just before it sends the header."""
    if (current := _local.collecting) is not None:
        current.counters.append(counter)
    else:
        _local.announced = counter


def announced() -> list[Counter]:
    """The counter that waits to be written with its header, taken."""
    counter, _local.announced = _local.announced, None
    return [counter] if counter else []
