"""A question to something that may never answer, with a deadline for whoever asks."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """``value``, or the ``error`` in its place, and how long it took."""

    value: T | None
    error: BaseException | None
    seconds: float


class Question(Generic[T]):
    """A question asked by one thread at a time, however many want to know.

    Whoever comes while it is open waits for the same answer. So a dependency that hangs costs a process one thread,
    not one for every probe, and a flood of probes puts no load on it.
    """

    def __init__(self, ask: Callable[[], T], *, name: str) -> None:
        self._ask = ask
        self._name = name
        self._lock = threading.Lock()
        self._open: Future[Answer[T]] | None = None

    def put(self) -> Future[Answer[T]]:
        """Ask, unless it is being asked already. The future never fails; it may never be done either."""
        with self._lock:
            if self._open is None or self._open.done():
                self._open = Future()
                # A daemon: a hung dependency must not keep the process from ending.
                threading.Thread(target=self._run, args=(self._open,), name=self._name, daemon=True).start()
            return self._open

    def answer(self, *, seconds: float) -> Answer[T]:
        """Ask and wait for so long; the answer's error is a TimeoutError where that was not enough."""
        return answer_by(self.put(), deadline=time.monotonic() + seconds)

    def _run(self, future: Future[Answer[T]]) -> None:
        began = time.monotonic()
        value, error = None, None
        try:
            value = self._ask()
        except BaseException as raised:  # noqa: BLE001  (whoever waits shall see it, whatever it is)
            error = raised
        finally:
            # Django keeps a database connection for each thread, and this one ends.
            connections.close_all()
        future.set_result(Answer(value, error, time.monotonic() - began))


def answer_by(future: Future[Answer[T]], *, deadline: float) -> Answer[T]:
    """Wait until ``deadline``, a time of ``time.monotonic()``."""
    began = time.monotonic()
    try:
        return future.result(timeout=max(deadline - began, 0))
    except TimeoutError as error:
        return Answer(None, error, time.monotonic() - began)
