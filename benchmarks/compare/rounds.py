"""One contender's turn in a round: enqueue, work a backlog off, and answer calls that come one by one."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kombu import Connection

from benchmarks.compare import processors
from benchmarks.compare.contenders import Contender, relay_command
from benchmarks.compare.programs import Program, sending
from benchmarks.compare.services import Services
from benchmarks.compare.stored import NotVerified, Stored
from tests.waiting import until

Figures = dict[str, float]
LOOK_EVERY = 0.02
COUNT_EVERY = 0.25
"""Results are counted so often while a worker is at work: each look takes the database's time from it."""
DONE_WITHIN = 300.0


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of each is measured in a round. ``backlog`` is a share of the contender's own."""

    backlog: float = 1.0
    warm_up: int = 200
    singles: int = 1_000
    bulk: int = 10_000
    idle: int = 150
    loaded_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all turns have in common."""

    services: Services
    folder: Path
    size: Size
    prefetch: int


class Turn:
    """Everything there is to measure of one contender, once."""

    def __init__(self, contender: Contender, setting: Setting, *, seed: int) -> None:
        self.figures: Figures = {}
        self._contender = contender
        self._setting = setting
        self._size = setting.size
        self._seed = seed
        self._environment = contender.environment(setting.services, setting.folder)
        self._started = {"bench": os.getpid(), "postgresql": setting.services.database_pid}
        self._programs = {"postgresql": setting.services.database_pid, "rabbitmq": setting.services.broker_pid}

    def run(self, rate: float | None) -> Figures:
        """``rate``: calls a second of the load that is the same for all; without it, half of this one's throughput."""
        others, began = self._others(), time.monotonic()
        self._measure(rate)
        self.figures["others_cpus"] = (self._others() - others) / (time.monotonic() - began)
        return self.figures

    def _measure(self, rate: float | None) -> None:
        with ExitStack() as stack:
            self._open(stack)
            if self._contender.is_ours:
                self._enqueue()
                self._relay_alone()
            self._start_worker(stack)
            self._work_off()
            if self._contender.has_results and not self._contender.apart:
                self._answer_one_by_one()
                self._answer_under_load(rate)
        self._require_empty_queue()

    def _open(self, stack: ExitStack) -> None:
        """Empty tables and queue, and somebody to fill them."""
        contender = self._contender
        url = self._setting.services.database_url(contender.database)
        self._stored = Stored(url, has_ledger=contender.is_ours)
        stack.callback(self._stored.close)
        self._clear()
        self._sender = stack.enter_context(sending(contender.side, self._environment, self._log("sender")))

    def _others(self) -> float:
        """CPU seconds of whatever else runs on this machine: where it is not quiet, figures mean little."""
        return processors.machine() - sum(processors.seconds(self._started).values())

    # --- Enqueueing, ours: nobody else has anything to do meanwhile, as with stock ------------------------------------

    def _enqueue(self) -> None:
        size = self._size
        self._sender.ask("single", count=50)
        inside = self._sender.ask("single", count=size.singles)
        committed = self._sender.ask("committed", count=size.singles)
        many = self._sender.ask("many", count=size.bulk)
        self.figures |= {
            "enqueue_us": inside["median"] * 1e6,
            "enqueue_per_s": size.singles / inside["seconds"],
            "enqueue_committed_us": committed["median"] * 1e6,
            "bulk_per_s": size.bulk / many["seconds"],
        }
        self._clear()

    def _relay_alone(self) -> None:
        """From the commit of many tasks until all are confirmed by the broker."""
        with self._program("relay", [*relay_command(), "--window=1000000"]):
            # It publishes: it is awake.
            self._sender.ask("single", count=50)
            until(self._stored.outbox_is_empty, what=f"the relay; see {self._log('relay')}")
            self._sender.ask("hold", count=self._size.bulk)
            self._sender.ask("commit")
            began = time.monotonic()
            while not self._stored.outbox_is_empty():
                time.sleep(LOOK_EVERY)
            self.figures["relay_per_s"] = self._size.bulk / (time.monotonic() - began)
        self._clear()

    # --- Working a backlog off ----------------------------------------------------------------------------------------

    def _start_worker(self, stack: ExitStack) -> None:
        if self._contender.is_ours:
            relay = stack.enter_context(self._program("relay", self._relay_command()))
            self._programs["relay"] = relay.pid
        self._worker = stack.enter_context(self._program("worker", self._worker_command()))
        self._programs["worker"] = self._worker.pid
        self._worker.until(lambda: self._consumers() > 0)
        self._sender.ask("single", count=self._size.warm_up)
        self._until_done(self._size.warm_up)
        self._clear()

    def _work_off(self) -> None:
        """A backlog that is there before the clock starts, by a worker that is warm."""
        count = int(self._contender.backlog * self._size.backlog)
        release = self._hold_in_ledger(count) if self._contender.is_ours else self._hold_in_queue(count)
        with self._accounted(count):
            began = time.time()
            release()
            if self._contender.has_results:
                self._until_done(count)
                per_second = self._stored.tasks_per_second()
            else:
                per_second = count / (self._until_marked() - began)
        self.figures["tasks_per_s"] = per_second
        if self._contender.has_results:
            self._stored.verify(self._contender.task("noop"), count)
        self._clear()

    @contextmanager
    def _accounted(self, count: int) -> Iterator[None]:
        """What ``count`` tasks take while the block runs."""
        pace, wal, before = processors.pace(), self._stored.wal(), processors.seconds(self._programs)
        yield
        after = processors.seconds(self._programs)
        self.figures["pace_ms"] = (pace + processors.pace()) / 2
        self.figures |= {f"cpu_{name}": (after[name] - before[name]) / count * 1e3 for name in after}
        self.figures["cpu_all"] = (sum(after.values()) - sum(before.values())) / count * 1e3
        self.figures["wal_bytes"] = (self._stored.wal() - wal) / count

    def _hold_in_ledger(self, count: int) -> Callable[[], object]:
        """All in one transaction: with its commit the relay begins to publish."""
        self._sender.ask("hold", count=count)
        return partial(self._sender.ask, "commit")

    def _hold_in_queue(self, count: int) -> Callable[[], object]:
        """All in RabbitMQ, published and confirmed while the worker stands still."""
        self._worker.stop_for_a_while()
        bulk = count // 4
        many = self._sender.ask("many", count=bulk)
        single = self._sender.ask("single", count=count - bulk, first=bulk)
        self.figures |= {
            "enqueue_us": single["median"] * 1e6,
            "enqueue_per_s": (count - bulk) / single["seconds"],
            "bulk_per_s": bulk / many["seconds"],
        }
        if not self._contender.has_results:
            self._mark.unlink(missing_ok=True)
            self._sender.ask("mark", path=str(self._mark))
        return self._worker.resume

    # --- Answering calls ----------------------------------------------------------------------------------------------

    def _answer_one_by_one(self) -> None:
        self._sender.ask("idle", count=self._size.idle, seed=self._seed)
        self.figures |= _percentiles("idle", self._latencies(self._size.idle))

    def _answer_under_load(self, rate: float | None) -> None:
        """At the rate that is the same for all, and at half of what this one can do."""
        own = self.figures["tasks_per_s"] / 2
        self.figures |= self._loaded("half", rate or own)
        self.figures |= self._loaded("own_half", own) if rate else _renamed(self.figures, "half", "own_half")

    def _loaded(self, name: str, rate: float) -> Figures:
        count = int(rate * self._size.loaded_seconds)
        sent = self._sender.ask("load", rate=rate, count=count, seed=self._seed)
        figures = _percentiles(name, self._latencies(count))
        return {f"{name}_rate": rate, f"{name}_sent_late_ms": sent["latest"] * 1e3, **figures}

    def _latencies(self, count: int) -> list[float]:
        self._until_done(count)
        self._stored.verify(self._contender.task("measure"), count)
        found = self._stored.latencies()
        self._clear()
        return found

    # --- Looking ------------------------------------------------------------------------------------------------------

    def _until_done(self, count: int) -> None:
        if self._contender.has_results:
            what = f"{count} results; see {self._worker.log}"
            until(lambda: self._stored.count() == count, every=COUNT_EVERY, seconds=DONE_WITHIN, what=what)
        else:
            until(lambda: self._depth() == 0, seconds=DONE_WITHIN, what=f"an empty queue; see {self._worker.log}")

    def _until_marked(self) -> float:
        """When the last message of the queue was run, by the clock of the machine."""
        written = until(
            lambda: self._mark.read_text() if self._mark.exists() else None, seconds=DONE_WITHIN, what="the last task"
        )
        return float(written)

    def _require_empty_queue(self) -> None:
        """Without the worker, what it did not ack is back in the queue."""
        if left := self._depth():
            raise NotVerified(f"{left} messages of {self._contender.name} are left in {self._contender.queue}")

    def _clear(self) -> None:
        self._stored.clear()
        with Connection(self._setting.services.broker_url) as connection, connection.channel() as channel:
            channel.queue_purge(self._contender.queue)  # type: ignore[attr-defined]

    def _depth(self) -> int:
        return self._queue()[0]

    def _consumers(self) -> int:
        return self._queue()[1]

    def _queue(self) -> tuple[int, int]:
        """Messages that are ready, and consumers."""
        with Connection(self._setting.services.broker_url) as connection, connection.channel() as channel:
            found = channel.queue_declare(self._contender.queue, passive=True)  # type: ignore[attr-defined]
        return found.message_count, found.consumer_count

    def _relay_command(self) -> list[str]:
        return relay_command()

    def _worker_command(self) -> list[str]:
        return self._contender.worker(self._setting.prefetch)

    @property
    def _mark(self) -> Path:
        return self._setting.folder / "mark"

    def _program(self, name: str, command: Sequence[str]) -> Program:
        return Program(list(command), self._environment, self._log(name))

    def _log(self, program: str) -> Path:
        return self._setting.folder / f"{self._contender.side}-{program}.log"


def _percentiles(name: str, seconds: Sequence[float]) -> Figures:
    """In milliseconds; ``seconds`` in ascending order."""
    return {
        f"{name}_p50_ms": seconds[len(seconds) // 2] * 1e3,
        f"{name}_p99_ms": seconds[min(int(len(seconds) * 0.99), len(seconds) - 1)] * 1e3,
    }


def _renamed(figures: Figures, name: str, other: str) -> Figures:
    return {f"{other}{key.removeprefix(name)}": value for key, value in figures.items() if key.startswith(f"{name}_")}
