"""What a long transaction beside it costs the relay: until it ends, no trace of what was published can be cleared away.

Tasks flow through one lane, and now and then one through another; first with nothing else, then beside a transaction
whose snapshot is older than all of them. A poll is the question that a relay asks whenever it looks for work; it is
asked here as a relay asks it.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import psycopg
from django.db import connection

from benchmarks.relay import flood, running
from benchmarks.relay.isolation import enqueue
from benchmarks.relay.running import Journal
from benchmarks.relay.services import Running
from benchmarks.relay.sheet import Sheet, percentile
from routing.broker.keeper import LOOK_OUT_EVERY
from routing.broker.lookout import Lookout
from routing.ledger import outbox

FLOW = 2_000
"""Tasks a second."""
EVERY = 0.05


@dataclass
class Stretch:
    flow: dict[str, float] = field(default_factory=dict)
    single: dict[str, float] = field(default_factory=dict)
    """Task id → when it was committed."""
    polls: list[float] = field(default_factory=list)
    seconds: float = 0.0


def measure(services: Running, sheet: Sheet, *, alone: float, beside: float) -> None:
    sheet.say("           seconds   flow/s   its wait ms: p50     p99   a single task's: p50    p99   poll: p50   p99")
    figures = {}
    with (
        running.relay(services.folder),
        running.taking(flood.LANE, services.folder) as flow,
        running.taking("reporting", services.folder) as single,
    ):
        for name, seconds, bystander in (("alone", alone, nullcontext()), ("beside", beside, old_transaction())):
            with bystander:
                stretch = _run(seconds)
                figures[name] = found = _figures(stretch, flow, single)
            sheet.say(
                f"  {name:8} {seconds:7.0f} {found['flow_per_s']:8,.0f} {found['flow_p50_ms']:18,.1f} "
                f"{found['flow_p99_ms']:7,.1f} {found['single_p50_ms']:21,.1f} {found['single_p99_ms']:6,.1f} "
                f"{found['poll_p50_ms']:11,.1f} {found['poll_p99_ms']:5,.1f}"
            )
    sheet.note("bystander", figures)
    flood.drain()


def _run(seconds: float) -> Stretch:
    stretch, began = Stretch(), time.monotonic()
    lookout, ended = Lookout(), threading.Event()
    keeping = threading.Thread(target=keep_up, args=(lookout, ended))
    keeping.start()
    due = began
    while (now := time.monotonic()) < began + seconds:
        due = max(due + EVERY * random.uniform(0.5, 1.5), now)  # noqa: S311
        ids, moment = flood.enqueue(round(FLOW * EVERY)), time.monotonic()
        stretch.flow |= dict.fromkeys(ids, moment)
        task_id, moment = enqueue()
        stretch.single[task_id] = moment
        asked = time.monotonic()
        outbox.due_queues(lookout.queues, floors=lookout.floors)
        stretch.polls.append(time.monotonic() - asked)
        time.sleep(max(due - time.monotonic(), 0))
    stretch.seconds = time.monotonic() - began
    ended.set()
    keeping.join()
    return stretch


def keep_up(lookout: Lookout, ended: threading.Event) -> None:
    while not ended.wait(LOOK_OUT_EVERY):
        lookout.run_once()
    connection.close()


def _figures(stretch: Stretch, flow: Journal, single: Journal) -> dict[str, float]:
    """Of the last third: the longer the transaction lasts, the worse it could get."""
    waits = {"flow": flow.waits(stretch.flow), "single": single.waits(stretch.single), "poll": stretch.polls}
    late = {name: values[-len(values) // 3 :] for name, values in waits.items()}
    return {
        "flow_per_s": round(len(stretch.flow) / stretch.seconds),
        **{
            f"{name}_p{percent}_ms": round(percentile(values, percent) * 1e3, 2)
            for name, values in late.items()
            for percent in (50, 99)
        },
    }


@contextmanager
def old_transaction() -> Iterator[None]:
    """A report, say, that reads as of its beginning and takes its time."""
    settings = connection.get_connection_params()
    with psycopg.connect(
        host=settings["host"], port=settings["port"], user=settings["user"], dbname=settings["dbname"]
    ) as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.execute("SELECT txid_current(), count(*) FROM routing_outbox")
        yield
