"""A round: enqueue, work backlogs off, and answer calls that come one by one, each contender in its turn.

All of a round's workers are up at once and only one of them has anything to do. Backlogs are short, so that all have
worked one off within seconds: a machine whose owner gives it another pace for a minute gives it to all of them.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

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
    """How much of each is measured in a round. ``backlog`` is a share of the contender's own, in ``slices``."""

    backlog: float = 1.0
    slices: int = 5
    warm_up: int = 200
    singles: int = 1_000
    bulk: int = 10_000
    idle: int = 150
    """Calls, and seconds, in all of its parts: there are as many as slices."""
    loaded_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all turns have in common."""

    services: Services
    folder: Path
    size: Size
    prefetch: int


class Turn:
    """Everything there is to measure of one contender in a round."""

    def __init__(self, contender: Contender, setting: Setting, *, seed: int) -> None:
        self.contender = contender
        self.slices: list[Figures] = []
        """Of each backlog that was worked off."""
        self._figures: Figures = {}
        self._waits: dict[str, list[float]] = defaultdict(list)
        """Seconds from a call to its task's first line, in ascending order, by what else there was to do."""
        self._setting = setting
        self._size = setting.size
        self._seed = seed
        self._environment = contender.environment(setting.services, setting.folder)
        self._programs = {"postgresql": setting.services.database_pid, "rabbitmq": setting.services.broker_pid}

    @property
    def figures(self) -> Figures:
        """Medians, of what was measured more than once."""
        return self._figures | {key: median(slice_[key] for slice_ in self.slices) for key in (self.slices or [{}])[0]}

    def open(self, stack: ExitStack) -> None:
        """Empty tables and queue, and somebody to fill them. ``stack`` ends all that is started."""
        contender = self.contender
        url = self._setting.services.database_url(contender.database)
        self._stored = Stored(url, has_ledger=contender.is_ours)
        stack.callback(self._stored.close)
        self._clear()
        self._sender = stack.enter_context(sending(contender.side, self._environment, self._log("sender")))

    # --- Enqueueing, ours: nobody else has anything to do meanwhile, as with stock ------------------------------------

    def enqueue(self) -> None:
        """Before any worker is there. What stock takes is measured where its backlogs are made."""
        if self.contender.is_ours:
            self._enqueue()
            self._relay_alone()

    def _enqueue(self) -> None:
        size = self._size
        self._sender.ask("single", count=50)
        inside = self._sender.ask("single", count=size.singles)
        committed = self._sender.ask("committed", count=size.singles)
        many = self._sender.ask("many", count=size.bulk)
        self._figures |= {
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
            self._figures["relay_per_s"] = self._size.bulk / (time.monotonic() - began)
        self._clear()

    # --- Working a backlog off ----------------------------------------------------------------------------------------

    def start(self, stack: ExitStack) -> None:
        """Its worker, warm."""
        if self.contender.is_ours:
            relay = stack.enter_context(self._program("relay", self._relay_command()))
            self._programs["relay"] = relay.pid
        self._worker = stack.enter_context(self._program("worker", self._worker_command()))
        self._programs["worker"] = self._worker.pid
        self._worker.until(lambda: self._consumers() > 0)
        self._sender.ask("single", count=self._size.warm_up)
        self._until_done(self._size.warm_up)
        self._clear()

    def work_off(self) -> None:
        """A backlog that is there before the clock starts, by a worker that is warm."""
        count = int(self.contender.backlog * self._size.backlog / self._size.slices)
        self._slice: Figures = {}
        release = self._hold_in_ledger(count) if self.contender.is_ours else self._hold_in_queue(count)
        with self._accounted(count):
            began = time.time()
            release()
            if self.contender.has_results:
                self._until_done(count)
                per_second = self._stored.tasks_per_second()
            else:
                per_second = count / (self._until_marked() - began)
        self.slices.append(self._slice | {"tasks_per_s": per_second})
        if self.contender.has_results:
            self._stored.verify(self.contender.task("noop"), count)
        self._clear()

    @contextmanager
    def _accounted(self, count: int) -> Iterator[None]:
        """What ``count`` tasks take while the block runs. PostgreSQL and RabbitMQ are those of all; the others wait."""
        everything = {"bench": os.getpid(), "postgresql": self._setting.services.database_pid}
        pace, wal = processors.pace(), self._stored.wal()
        own, machine, began = processors.seconds(self._programs), processors.machine(), time.monotonic()
        bench = processors.seconds(everything)
        yield
        seconds, machine = time.monotonic() - began, processors.machine() - machine
        own = _less(processors.seconds(self._programs), own)
        bench = _less(processors.seconds(everything), bench)
        self._slice |= {f"cpu_{name}": value / count * 1e3 for name, value in own.items()}
        self._slice |= {
            "cpu_all": sum(own.values()) / count * 1e3,
            "wal_bytes": (self._stored.wal() - wal) / count,
            "bench_cpus": (sum(bench.values()) - sum(own.values())) / seconds,
            "others_cpus": (machine - sum(bench.values())) / seconds,
            "pace_ms": (pace + processors.pace()) / 2,
        }

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
        self._slice |= {
            "enqueue_us": single["median"] * 1e6,
            "enqueue_per_s": (count - bulk) / single["seconds"],
            "bulk_per_s": bulk / many["seconds"],
        }
        if not self.contender.has_results:
            self._mark.unlink(missing_ok=True)
            self._sender.ask("mark", path=str(self._mark))
        return self._worker.resume

    # --- Answering calls ----------------------------------------------------------------------------------------------

    def answer(self, number: int, rates: Mapping[str, float]) -> None:
        """The ``number``-th part of them: idle, at each of these calls a second, and ours at half of what it can do."""
        if not self.contender.has_results or self.contender.apart:
            return
        size, seed = self._size, self._seed * self._size.slices + number
        count = size.idle // size.slices
        self._sender.ask("idle", count=count, seed=seed)
        self._note_waits("idle", count)
        own = {"own_half": self.figures["tasks_per_s"] / 2} if self.contender.is_ours else {}
        for name, rate in {**rates, **own}.items():
            self._load(name, rate, size.loaded_seconds / size.slices, seed)

    def _load(self, name: str, rate: float, seconds: float, seed: int) -> None:
        count = int(rate * seconds)
        latest = self._sender.ask("load", rate=rate, count=count, seed=seed)["latest"] * 1e3
        self._figures[f"{name}_rate"] = rate
        self._figures[f"{name}_sent_late_ms"] = max(latest, self._figures.get(f"{name}_sent_late_ms", 0.0))
        self._note_waits(name, count)

    def _note_waits(self, name: str, count: int) -> None:
        """Once all are done."""
        self._until_done(count)
        self._stored.verify(self.contender.task("measure"), count)
        self._waits[name] = sorted([*self._waits[name], *self._stored.latencies()])
        self._figures |= _percentiles(name, self._waits[name])
        self._clear()

    # --- Looking ------------------------------------------------------------------------------------------------------

    def _until_done(self, count: int) -> None:
        if self.contender.has_results:
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

    def require_empty_queue(self) -> None:
        """Without the worker, what it did not ack is back in the queue."""
        if left := self._depth():
            raise NotVerified(f"{left} messages of {self.contender.name} are left in {self.contender.queue}")

    def _clear(self) -> None:
        self._stored.clear()
        with Connection(self._setting.services.broker_url) as connection, connection.channel() as channel:
            channel.queue_purge(self.contender.queue)  # type: ignore[attr-defined]

    def _depth(self) -> int:
        return self._queue()[0]

    def _consumers(self) -> int:
        return self._queue()[1]

    def _queue(self) -> tuple[int, int]:
        """Messages that are ready, and consumers."""
        with Connection(self._setting.services.broker_url) as connection, connection.channel() as channel:
            found = channel.queue_declare(self.contender.queue, passive=True)  # type: ignore[attr-defined]
        return found.message_count, found.consumer_count

    def _relay_command(self) -> list[str]:
        return relay_command()

    def _worker_command(self) -> list[str]:
        return self.contender.worker(self._setting.prefetch)

    @property
    def _mark(self) -> Path:
        return self._setting.folder / "mark"

    def _program(self, name: str, command: Sequence[str]) -> Program:
        return Program(list(command), self._environment, self._log(name))

    def _log(self, program: str) -> Path:
        return self._setting.folder / f"{self.contender.database}-{program}.log"


def _less(after: Figures, before: Figures) -> Figures:
    return {name: value - before[name] for name, value in after.items()}


def _percentiles(name: str, seconds: Sequence[float]) -> Figures:
    """In milliseconds; ``seconds`` in ascending order."""
    return {
        f"{name}_p50_ms": seconds[len(seconds) // 2] * 1e3,
        f"{name}_p99_ms": seconds[min(int(len(seconds) * 0.99), len(seconds) - 1)] * 1e3,
    }
