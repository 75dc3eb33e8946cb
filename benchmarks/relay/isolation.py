"""How long a task waits for its message to arrive, while another lane is idle and while it is flooded.

The wait begins at the commit of the enqueuing and ends when a plain AMQP consumer has the message. The phases:

idle     nothing else is due
flow     1,000 messages a second flow through another lane, whose consumer keeps up: the same traffic, and no flood
full     a flood is due in another lane, whose window is full: nobody takes anything from it
drained  the same, and a consumer takes 1,000 messages a second, as a busy pool would
rush     the same, and a consumer takes all that the relay can publish, so that it never stops publishing the flood
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction
from kombu import Connection

from benchmarks.relay import flood, running, tasks, usage
from benchmarks.relay.running import Journal, taking
from benchmarks.relay.services import Running
from benchmarks.relay.sheet import Sheet, percentile
from routing.broker.topology import message_count
from routing.ledger import database
from routing.ledger.tables import Outbox
from tests.waiting import until

PHASES = ("idle", "flow", "full", "drained", "rush")
EVERY = 0.05
"""Seconds between two tasks, on average."""
POOL = 1_000
"""Messages that a busy pool takes a second."""


@dataclass
class Phase:
    waits: list[float] = field(default_factory=list)
    seconds: float = 0.0
    flood: int = 0
    """Messages of the flood that were taken meanwhile."""
    relay: float = 0.0
    broker: float = 0.0
    database: float = 0.0
    """Seconds of processor time."""
    memory: list[int] = field(default_factory=list)
    """The broker's, in bytes, at the beginning and the end of each round's."""

    def figures(self, idle: "Phase", flow: "Phase") -> dict[str, float]:
        return {
            "count": len(self.waits),
            **{f"p{percent}_ms": round(percentile(self.waits, percent) * 1e3, 2) for percent in (50, 95, 99)},
            "p95_of_idle": round(percentile(self.waits, 95) / percentile(idle.waits, 95), 2),
            "p95_of_flow": round(percentile(self.waits, 95) / percentile(flow.waits, 95), 2),
            "flood_per_s": round(self.flood / self.seconds),
            "relay_cpu": round(self.relay / self.seconds, 3),
            "broker_cpu": round(self.broker / self.seconds, 3),
            "database_cpu": round(self.database / self.seconds, 3),
        }


def measure(services: Running, sheet: Sheet, *, rows: int, seconds: float, rounds: int) -> None:
    phases = {name: Phase() for name in PHASES}
    memories: dict[str, list[dict[str, int]]] = {"broker": [], "relay": []}
    with taking("reporting", services.folder) as arrivals:
        for number in range(1, rounds + 1):
            with running.relay(services.folder) as relay:
                bench = Bench(services, sheet, relay.popen.pid, arrivals, f"round {number} of {rounds}")
                bench.settle()
                watches = {
                    "broker": usage.Watch(lambda: usage.of_tree(services.broker_pid)),
                    "relay": usage.Watch(lambda pid=relay.popen.pid: usage.of_process(pid)),  # type: ignore[misc]
                }
                for watch in watches.values():
                    watch.start()
                bench.run(phases, rows=rows, seconds=seconds)
                for name, watch in watches.items():
                    watch.stop()
                    memories[name].append(watch.megabytes())
            bench.clear()
    _tell(sheet, phases, memories, rows)


class Bench:
    """One relay, and the phases that it is put through."""

    def __init__(self, services: Running, sheet: Sheet, relay_pid: int, arrivals: Journal, name: str) -> None:
        self._services = services
        self._sheet = sheet
        self._relay_pid = relay_pid
        self._arrivals = arrivals
        self._name = name

    def settle(self) -> None:
        """Until the relay has found its feet: a first task has arrived."""
        self._send(5)

    def run(self, phases: dict[str, Phase], *, rows: int, seconds: float) -> None:
        with self._measured(phases["idle"], "idle"):
            phases["idle"].waits += self._send(seconds)
        with taking(flood.LANE, self._services.folder) as pool, self._measured(phases["flow"], "flow", pool):
            phases["flow"].waits += self._send(seconds, flow=POOL)
        self._pour(rows)
        until(self._is_full, what="a full window")
        with self._measured(phases["full"], "full"):
            phases["full"].waits += self._send(seconds)
        for name, rate in (("drained", POOL), ("rush", None)):
            with (
                taking(flood.LANE, self._services.folder, rate=rate) as pool,
                self._measured(phases[name], name, pool),
            ):
                phases[name].waits += self._send(seconds)
        if not Outbox.objects.exists():
            self._sheet.say("  The flood came to its end before the measurement did: take more rows.")

    def clear(self) -> None:
        flood.drain()
        with Connection(self._services.broker_url) as broker:
            broker.default_channel.queue_purge(flood.LANE)  # type: ignore[attr-defined]

    def _pour(self, rows: int) -> None:
        began = time.monotonic()
        for done in flood.pour(rows):
            if time.monotonic() - began > 10 or done == rows:
                began = time.monotonic()
                self._sheet.say(f"  {self._name}: {done:,} tasks are due in {flood.LANE}")

    def _is_full(self) -> bool:
        with Connection(self._services.broker_url) as broker:
            return (message_count(broker, flood.LANE) or 0) >= settings.TASKYARD_RELAY_WINDOW

    def _send(self, seconds: float, *, flow: int = 0) -> list[float]:
        """Enqueue a task now and then, and wait until all have arrived. ``flow``: so many more in the other lane."""
        committed: dict[str, float] = {}
        until_when = time.monotonic() + seconds
        while time.monotonic() < until_when:
            # At no rhythm that the relay's own could fall in with.
            pause = random.uniform(0.5, 1.5) * EVERY  # noqa: S311
            time.sleep(pause)
            if flow:
                flood.enqueue(round(flow * pause))
            task_id, moment = enqueue()
            committed[task_id] = moment
        return self._arrivals.waits(committed)

    @contextmanager
    def _measured(self, phase: Phase, name: str, pool: Journal | None = None) -> Iterator[None]:
        taken = pool.count() if pool else 0
        began, before = time.monotonic(), self._processor_times()
        phase.memory.append(usage.of_tree(self._services.broker_pid).memory)
        yield
        phase.memory.append(usage.of_tree(self._services.broker_pid).memory)
        phase.seconds += time.monotonic() - began
        relay, broker, server = (now - then for now, then in zip(self._processor_times(), before, strict=True))
        phase.relay += relay
        phase.broker += broker
        phase.database += server
        phase.flood += pool.count() - taken if pool else 0
        self._sheet.say(f"  {self._name}: {name} measured")

    def _processor_times(self) -> tuple[float, float, float]:
        found = (
            usage.of_process(self._relay_pid),
            usage.of_tree(self._services.broker_pid),
            usage.of_tree(self._services.database_pid),
        )
        return found[0].processor, found[1].processor, found[2].processor


def enqueue() -> tuple[str, float]:
    """A task's id, and the moment of its commit."""
    moments: list[float] = []
    with database.atomic():
        # First, so that it is called before the relay is woken.
        transaction.on_commit(lambda: moments.append(time.monotonic()), using=database.using())
        task_id = tasks.quiet.delay(0).id
    return str(task_id), moments[0]


def _tell(sheet: Sheet, phases: dict[str, Phase], memories: dict[str, list[dict[str, int]]], rows: int) -> None:
    brokers = {name: [size // usage.KILOBYTE**2 for size in phase.memory] for name, phase in phases.items()}
    found = {name: phase.figures(phases["idle"], phases["flow"]) for name, phase in phases.items()}
    sheet.note("isolation", {"rows": rows, "phases": found, "memory_mb": memories, "broker_mb": brokers})
    sheet.say(
        "           tasks   wait ms: p50    p95    p99   p95/idle   /flow   flood/s   cores: relay  broker  database"
    )
    for name, one in found.items():
        sheet.say(
            f"  {name:8} {one['count']:5} {one['p50_ms']:14} {one['p95_ms']:6} {one['p99_ms']:6} "
            f"{one['p95_of_idle']:10} {one['p95_of_flow']:7} {one['flood_per_s']:9,} {one['relay_cpu']:14.2f} "
            f"{one['broker_cpu']:7.2f} {one['database_cpu']:9.2f}"
        )
    told = "; ".join(f"{name} {' → '.join(map(str, sizes))}" for name, sizes in brokers.items())
    sheet.say(f"  memory of the broker as each began and ended, MB: {told}")
    for name, rounds in memories.items():
        words = "; ".join(
            f"{one['start']} at the start, {one['max']} at most, {one['end']} in the end" for one in rounds
        )
        sheet.say(f"  memory of the {name}, MB: {words}")
