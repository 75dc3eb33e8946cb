"""A steady load, of which one transaction stays open for a sixth of the time, and what grows meanwhile.

While it is open, no trace of what was in flight can be cleared away. Relay, pool, RabbitMQ and PostgreSQL are real; a
poll is the question that a relay asks whenever it looks for work, asked here as a relay asks it.
"""

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from django_celery_results.models import TaskResult

from benchmarks.compare.tasks import noop
from benchmarks.relay import running, usage
from benchmarks.relay.bystander import keep_up, old_transaction
from benchmarks.relay.services import Running
from benchmarks.relay.sheet import Sheet, percentile
from routing.broker.lookout import Lookout
from routing.ledger import database, outbox
from routing.ledger.tables import Message
from tests.waiting import until
from tests.workers import Process, until_it_beats

TABLES = ("routing_message", "routing_outbox", "routing_tally")
"""Those that hold what is in flight. The results grow until retention prunes them."""
POLL_LIMIT = 0.05
"""Seconds, for 99 of 100 polls."""
GROWTH_LIMIT = 1.25
"""What is the size at the end, at most, by that at the end of the transaction; and memory by that before it."""
SLACK = 2 * 1024 * 1024
MEGABYTE = 1024 * 1024
STRETCHES = {"before": 1 / 3, "beside": 1 / 6, "after": 1 / 2}


@dataclass
class Stretch:
    """``sizes`` and ``memory`` in bytes, by table and by process, at its end."""

    polls: list[float] = field(default_factory=list)
    seconds: float = 0.0
    sizes: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)


class Soak:
    def __init__(self, services: Running, sheet: Sheet, *, rate: int) -> None:
        self._services = services
        self._sheet = sheet
        self._rate = rate
        self._sent = 0
        self._watched: Mapping[str, int] = {}

    def run(self, seconds: float) -> list[str]:
        """Soak for so long: before, beside and after the transaction. Returns what is to complain of."""
        plan = {name: seconds * share for name, share in STRETCHES.items()}
        found: dict[str, Stretch] = {}
        self._sheet.say(f"{self._rate} tasks a second; a transaction stays open for {plan['beside']:.0f} seconds")
        self._sheet.say("          seconds  polls  ms: p50    p99   in flight MB  dead rows  memory MB")
        with self._programs():
            found["before"] = self._tell("before", self._stretch(plan["before"]))
            with old_transaction():
                found["beside"] = self._tell("beside", self._stretch(plan["beside"]))
            found["after"] = self._tell("after", self._stretch(plan["after"]))
            left = self._left_over()
        self._note(found, left)
        return list(_complaints(found, left))

    @contextmanager
    def _programs(self) -> Iterator[None]:
        """A relay, and the pool of one queue."""
        folder = self._services.folder
        with ExitStack() as stack:
            relay = stack.enter_context(running.relay(folder))
            command = [sys.executable, "manage.py", "pool", "notifications", "--", "--include=benchmarks.compare.tasks"]
            worker = Process([*command, "--concurrency=2"], folder / "worker.log")
            stack.callback(worker.stop)
            until_it_beats(worker)
            self._watched = {
                "relay": relay.popen.pid,
                "worker": worker.popen.pid,
                "broker": self._services.broker_pid or 0,
                "database": self._services.database_pid or 0,
            }
            yield

    def _stretch(self, seconds: float) -> Stretch:
        stretch, lookout, ended = Stretch(), Lookout(), threading.Event()
        keeping = threading.Thread(target=keep_up, args=(lookout, ended))
        keeping.start()
        began = due = time.monotonic()
        try:
            while time.monotonic() < began + seconds:
                due += 1 / self._rate
                noop.delay(self._sent)
                self._sent += 1
                asked = time.monotonic()
                outbox.due_queues(lookout.queues, floors=lookout.floors)
                stretch.polls.append(time.monotonic() - asked)
                ended.wait(max(due - time.monotonic(), 0))
        finally:
            ended.set()
            keeping.join()
        stretch.seconds = time.monotonic() - began
        stretch.sizes, stretch.dead = _sizes(), _dead_rows()
        stretch.memory = {name: usage.of_tree(pid).memory for name, pid in self._watched.items()}
        return stretch

    def _left_over(self) -> int:
        """Tasks that did not come to their end."""
        until(lambda: not Message.objects.exists(), seconds=60, what="the end of all tasks")
        return self._sent - int(TaskResult.objects.filter(status="SUCCESS").count())

    def _tell(self, name: str, one: Stretch) -> Stretch:
        self._sheet.say(
            f"  {name:8} {one.seconds:6.0f} {len(one.polls):6,} {_ms(one.polls, 50):8.2f} {_ms(one.polls, 99):6.2f} "
            f"{sum(one.sizes.values()) / MEGABYTE:13.1f} {sum(one.dead.values()):10,} "
            + "  ".join(f"{who} {size // MEGABYTE}" for who, size in one.memory.items())
        )
        return one

    def _note(self, found: Mapping[str, Stretch], left: int) -> None:
        for name, one in found.items():
            self._sheet.note(
                name,
                {
                    "seconds": round(one.seconds),
                    "polls": len(one.polls),
                    "poll_p50_ms": _ms(one.polls, 50),
                    "poll_p99_ms": _ms(one.polls, 99),
                    "table_bytes": one.sizes,
                    "dead_rows": one.dead,
                    "memory_bytes": one.memory,
                },
            )
        self._sheet.note("tasks", self._sent)
        self._sheet.note("left_over", left)


def _complaints(found: Mapping[str, Stretch], left: int) -> Iterator[str]:
    before, beside, after = (found[name] for name in STRETCHES)
    for name, one in found.items():
        if (slow := percentile(one.polls, 99)) > POLL_LIMIT:
            yield f"{name}: the slowest of 100 polls took {slow * 1e3:.0f} ms, and may take {POLL_LIMIT * 1e3:.0f}."
    for table, size in after.sizes.items():
        if size > beside.sizes[table] * GROWTH_LIMIT + SLACK:
            yield f"{table} has grown from {beside.sizes[table]:,} to {size:,} bytes after the transaction."
    for process, size in after.memory.items():
        # PostgreSQL's includes its cache once for each session, and RabbitMQ keeps a log in memory until it is full.
        if process in ("relay", "worker") and size > before.memory[process] * GROWTH_LIMIT:
            yield f"the {process}'s memory has grown from {before.memory[process]:,} to {size:,} bytes."
    if left:
        yield f"{left} tasks have not come to their end."


def _ms(seconds: list[float], percent: int) -> float:
    return round(percentile(seconds, percent) * 1e3, 2)


def _sizes() -> dict[str, int]:
    return {
        table: int(database.rows("SELECT pg_total_relation_size(%s::regclass) AS bytes", [table])[0]["bytes"])
        for table in TABLES
    }


def _dead_rows() -> dict[str, int]:
    rows = database.rows("SELECT relname, n_dead_tup FROM pg_stat_user_tables WHERE relname = ANY(%s)", [list(TABLES)])
    return {row["relname"]: int(row["n_dead_tup"]) for row in rows}
