"""Celery's prefork pool, in which a child is given its task at once, and a lost broker connection breaks nothing off.

Celery reads a message that comes through a child's pipe in pieces, such as an exception with a long traceback, with a
generator that its event loop keeps. With the broker's connection the loop loses all that it keeps; what is left of the
message would be taken for the head of the next one, and the worker end, or wait for gigabytes that never come.

In Celery, a task for an idle child waits for the next turn of the event loop, and the child says that it has taken it,
which is another turn. Here it is written when it comes, and counts as taken: the pipe of an idle child is empty, and
the page of `routing.worker.hands` tells what a child that died had begun.
"""

import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from time import monotonic
from types import GeneratorType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from billiard.pool import ACK
from celery.concurrency import asynpool, prefork

from routing.worker import hands

SHORTLY = 0.05
FAIR = asynpool.SCHED_STRATEGY_FAIR  # type: ignore[attr-defined]
_STRATEGIES = asynpool.SCHED_STRATEGIES  # type: ignore[attr-defined]
Reading: TypeAlias = "GeneratorType[None, None, None]"


class Child(asynpool.Worker):
    """Does not say that it has taken a task: whoever gave it knows."""

    outq: Any

    def workloop(self, *args: Any, **kwargs: Any) -> Any:
        write, put = self.outq.send_payload, self.outq.put

        def tell(message: tuple[int, Any]) -> None:
            if message[0] == ACK:
                return
            try:
                payload = pickle.dumps(message)
            except (pickle.PicklingError, TypeError, AttributeError):
                # billiard's own pickler knows more types, and takes longer.
                put(message)
            else:
                write(payload)

        self.outq.put = tell
        return super().workloop(*args, **kwargs)


class ResultReader(asynpool.ResultHandler):
    fileno_to_outq: dict[int, Any]
    state_handlers: dict[int, Callable[..., Any]]
    _hub: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # By child, not by descriptor: who replaces a dead child gets its pipe, or a new pipe of the same number.
        self._readings: WeakKeyDictionary[Any, Reading] = WeakKeyDictionary()

    def _recv_message(self, add_reader: Callable[..., None], fd: int, callback: Callable[[Any], None]) -> Reading:
        """Read on where a message was begun; begin the next one otherwise."""
        child = self.fileno_to_outq[fd]
        reading = self._readings.get(child)
        if reading is None or not reading.gi_suspended:
            reading = super()._recv_message(self._watch, fd, callback)  # type: ignore[misc]
            self._readings[child] = reading
        return reading

    def _watch(self, fd: int, callback: Callable[..., Any], *args: Any) -> None:
        """Celery asks for it after each message; most of the time the loop does so already."""
        if self._hub.readers.get(fd) != (callback, args):
            self._hub.add_reader(fd, callback, *args)

    def finish(self, child: Any) -> None:
        """Read what a child that has ended wrote of its message, and expect no more of it."""
        reading = self._readings.pop(child, None)
        if reading is not None and reading.gi_suspended:
            with suppress(StopIteration, OSError, EOFError):
                next(reading)

    def on_stop_not_started(self) -> None:
        """In the end Celery finishes what the loop has begun to read: show it what the loop has lost since, too."""
        for child, reading in list(self._readings.items()):
            if reading.gi_suspended:
                self._hub.add_reader(child.outqR_fd, reading)
        super().on_stop_not_started()


class AsynPool(asynpool.AsynPool):
    ResultHandler = ResultReader
    Worker: Any = Child
    outbound_buffer: Sequence[Any]
    on_poll_start: Callable[[], None]
    _quick_put: Callable[[Any], None]
    _result_handler: ResultReader
    _pool: list[Any]
    _cache: dict[int, Any]
    _all_inqueues: set[int]
    _busy_workers: set[int]
    _active_writes: set[int]
    _discard_tref: Callable[[int], None]

    def __init__(self, *args: Any, **options: Any) -> None:
        strategy = options.get("sched_strategy")
        if _STRATEGIES.get(strategy, strategy) != FAIR or options.get("synack"):
            # There a child may be given a task while it is at another.
            self.Worker = asynpool.Worker
        super().__init__(*args, **options)

    # --- Giving a task to a child -------------------------------------------------------------------------------------

    def _create_write_handlers(self, hub: Any, **kwargs: Any) -> None:
        """Called again with each new connection to the broker."""
        super()._create_write_handlers(hub, **kwargs)  # type: ignore[misc]
        if self.Worker is not Child:
            return
        self._hub = hub
        self._watch_pipes, self._put, self._write = self.on_poll_start, self._quick_put, hub.consolidate_callback
        self.on_poll_start = self._before_poll
        self._quick_put = self._give
        hub.consolidate_callback = self._write_to

    def _before_poll(self) -> None:
        """The loop is to tell which pipe can be written to, but only while something waits to be written."""
        if self.outbound_buffer or not self._all_inqueues.isdisjoint(self._hub.writers):
            self._watch_pipes()

    def _give(self, message: Any) -> None:
        """To a child that has nothing to do; where there is none, it waits."""
        self._put(message)
        idle = self._all_inqueues - self._busy_workers - self._active_writes
        if idle:
            self._write_to([idle.pop()])

    def _write_to(self, pipes: Sequence[int], *args: Any) -> None:
        """Into these pipes what has waited longest. What is being written counts as taken by the child."""
        first = list(islice(self.outbound_buffer, len(pipes)))
        self._write(pipes, *args)
        for job in first:
            if job._write_to is not None and not job._accepted:
                self._result_handler.state_handlers[ACK](job._job, None, monotonic(), job._write_to.pid, None)

    def on_job_process_down(self, job: Any, pid_gone: Any) -> None:
        """Called for each task of a child that has ended. One that it had not begun is given to another, once.

        A second child that ends over it, before its first step, may do so because of it.
        """
        if self._may_be_given_again(job, pid_gone):
            self._discard_tref(job._job)
            job._accepted, job._worker_pid, job.is_given_again = False, None, True
        super().on_job_process_down(job, pid_gone)
        if not job._accepted:
            job._write_to = job._scheduled_for = None

    def _may_be_given_again(self, job: Any, pid: int) -> bool:
        if self.Worker is not Child or not job._accepted or job.ready() or getattr(job, "is_given_again", False):
            return False
        was_ended_on_purpose = getattr(job._write_to, "_job_terminated", False)
        return not was_ended_on_purpose and not hands.had_begun(job.correlation_id, pid)

    def on_job_process_lost(self, job: Any, pid: int, exitcode: int) -> None:
        if job._accepted:
            super().on_job_process_lost(job, pid, exitcode)

    # --- What a child leaves behind -----------------------------------------------------------------------------------

    def _worker_active(self, worker: Any) -> bool:
        """A child that is being given a task is not idle: when the pool shrinks, idle ones are ended."""
        given = (child for job in list(self._cache.values()) for child in (job._write_to, job._scheduled_for))
        return bool(super()._worker_active(worker)) or any(child is worker for child in given)  # type: ignore[misc]

    def process_flush_queues(self, proc: Any) -> None:
        """Called when a child has ended, before its pipe is emptied, and then closed or given to the next one."""
        self._result_handler.finish(proc)
        super().process_flush_queues(proc)

    def _event_process_exit(self, hub: Any, proc: Any) -> None:
        """Look again soon where the child has not quite ended; Celery would do so after up to five seconds."""
        super()._event_process_exit(hub, proc)  # type: ignore[misc]
        # A process closes its files, which is what the loop sees, a moment before it can be waited for.
        if proc in self._pool:
            hub.call_later(SHORTLY, self._event_process_exit, hub, proc)


class TaskPool(prefork.TaskPool):
    Pool = AsynPool
