"""Celery's prefork pool, in which a child is given its task at once, and a lost broker connection breaks nothing off.

Celery reads a message that comes through a child's pipe in pieces, such as an exception with a long traceback, with a
generator that its event loop keeps. With the broker's connection the loop loses all that it keeps; what is left of the
message would be taken for the head of the next one, and the worker end, or wait for gigabytes that never come.

In Celery, a task for an idle child waits for the next turn of the event loop, which has the kernel watch the child's
pipe, writes, and has it stop. Here it is written when it comes.
"""

import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import GeneratorType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from celery.concurrency import asynpool, prefork

SHORTLY = 0.05
FAIR = asynpool.SCHED_STRATEGY_FAIR  # type: ignore[attr-defined]
Reading: TypeAlias = "GeneratorType[None, None, None]"


class Child(asynpool.Worker):
    """Writes its messages by the quick pickler. billiard's knows more types, and copies a table of them for each."""

    outq: Any

    def workloop(self, *args: Any, **kwargs: Any) -> Any:
        write, put = self.outq.send_payload, self.outq.put

        def tell(message: Any) -> None:
            try:
                payload = pickle.dumps(message)
            except (pickle.PicklingError, TypeError, AttributeError):
                put(message)
            else:
                write(payload)

        self.outq.put = tell
        return super().workloop(*args, **kwargs)


class ResultReader(asynpool.ResultHandler):
    fileno_to_outq: dict[int, Any]
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
    Worker = Child
    sched_strategy: int
    outbound_buffer: Sequence[Any]
    on_poll_start: Callable[[], None]
    _quick_put: Callable[[Any], None]
    _result_handler: ResultReader
    _pool: list[Any]
    _cache: dict[int, Any]
    _all_inqueues: set[int]
    _busy_workers: set[int]
    _active_writes: set[int]

    # --- Giving a task to a child -------------------------------------------------------------------------------------

    def _create_write_handlers(self, hub: Any, **kwargs: Any) -> None:
        """Called again with each new connection to the broker."""
        super()._create_write_handlers(hub, **kwargs)  # type: ignore[misc]
        watch, put, write = self.on_poll_start, self._quick_put, hub.consolidate_callback

        def on_poll_start() -> None:
            """Celery takes each pipe out of the loop at each of its turns, though most of the time none is in it."""
            if self.outbound_buffer or not self._all_inqueues.isdisjoint(hub.writers):
                watch()

        def give(message: Any) -> None:
            put(message)
            # What has waited longer goes first.
            if idle := self._all_inqueues - self._busy_workers - self._active_writes:
                write([idle.pop()])

        self.on_poll_start = on_poll_start
        if self.sched_strategy == FAIR:
            self._quick_put = give

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
