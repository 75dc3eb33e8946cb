"""Stopping: what runs may finish while the supervisor waits; the rest is ended in time, and given back uncounted.

SIGTERM is all that a supervisor has to send. That a worker is stopped is not the fault of what it runs: a task that
takes longer than any deploy waits is interrupted by each of them, and must not be taken for poison.
"""

import faulthandler
import logging
import os
import queue
import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from celery import signals
from django.conf import settings

from routing.worker import hands

logger = logging.getLogger(__name__)

LAST = 10.0
"""Seconds before the supervisor kills, in which what has not finished is ended and given back."""
KILLED_AFTER = 3.0
TICK = 0.1
STDERR = 2


class Stop:
    """The end of this worker, which a thread sees to: the main one waits for the pool meanwhile."""

    def __init__(self) -> None:
        # Signal handlers put into it, one perhaps within another, which an event's lock would not survive.
        self._told: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._worker: Any = None
        self._main: int | None = None
        self.is_interrupting = False
        """Whether children are ended from outside by now."""

    def watch(self, worker: Any) -> None:
        """For the main process of a pool of children; threads cannot be ended."""
        self._worker = worker
        if "prefork" not in getattr(worker.pool_cls, "__module__", ""):
            return
        self._main = os.getpid()
        signals.worker_shutting_down.connect(self._tell, weak=False)
        threading.Thread(target=self._run, name="stop", daemon=True).start()

    def limit(self) -> None:
        """Give a hurried end its limit. For the main thread, once Celery's own handlers are in place.

        Celery stops the pool inside its signal handler, wherever the main thread happens to be: it may never return.
        """
        if self._main is None:
            return
        end = signal.getsignal(signal.SIGQUIT)

        def hurry(number: int, frame: FrameType | None) -> None:
            self._give_up_later()
            if callable(end):
                end(number, frame)

        signal.signal(signal.SIGQUIT, hurry)

    def interrupt(self) -> None:
        """Celery ends what has told it that it began; this ends what has begun and had no time to tell."""
        self.is_interrupting = True
        self._told.put(None)
        for pid in self._children():
            if hands.step_of(pid) in (hands.Step.CLAIMING, hands.Step.RUNNING):
                _send(signal.SIGTERM, pid)

    def _give_up_later(self) -> None:
        """End hard when a supervisor would, and say where it hangs. What it held goes back as after any death."""
        # Children inherit the handler, and end with their worker anyway.
        if os.getpid() == self._main:
            # Needs no thread of Python's to be able to run.
            faulthandler.dump_traceback_later(settings.TASKYARD_STOP_WITHIN, exit=True, file=STDERR)

    def _tell(self, **_: Any) -> None:
        self._told.put(None)

    def _run(self) -> None:
        self._told.get()
        deadline = time.monotonic() + patience()
        while not self.is_interrupting and (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                self._told.get(timeout=left)
        # Nobody at work: the pool is about to end by itself.
        while not self.is_interrupting and not self._at_work():
            time.sleep(TICK)
        if not self.is_interrupting:
            self.is_interrupting = True
            logger.warning("What has not finished in %.0f s is given back, and runs elsewhere.", patience())
            # It has been waiting all the time.
            self._worker.app.conf.worker_soft_shutdown_timeout = 0
            os.kill(os.getpid(), signal.SIGQUIT)
        # A body may hold on, whatever it is told.
        time.sleep(KILLED_AFTER)
        for pid in self._children():
            _send(signal.SIGKILL, pid)

    def _at_work(self) -> list[int]:
        return [pid for pid in self._children() if hands.step_of(pid) not in (hands.Step.IDLE, None)]

    def _children(self) -> list[int]:
        pool = getattr(getattr(self._worker, "pool", None), "_pool", None)
        # Not whether they have ended: to ask that here would keep the main thread from learning it.
        return [child.pid for child in list(getattr(pool, "_pool", []))]


STOP = Stop()


def patience() -> float:
    """Seconds that a worker which is told to stop lets its tasks go on."""
    return float(max(0.0, settings.TASKYARD_STOP_WITHIN - LAST))


def _send(number: signal.Signals, pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
