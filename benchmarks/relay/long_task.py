"""One long task, alone in its queue, and a broker that dies again and again meanwhile."""

import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from celery import shared_task

from benchmarks.relay import running
from benchmarks.relay.services import Running
from benchmarks.relay.sheet import Sheet
from routing.ledger.tables import Message
from tests.private_broker import Broker
from tests.waiting import until
from tests.workers import Process, until_it_beats

QUEUE = "reporting"
AWAY = 20
"""Seconds without a broker, each time."""
SETTLED_WITHIN = 60


@shared_task(name="reporting.bench_long")
def long(journal: str, seconds: float) -> None:
    with Path(journal).open("a", buffering=1) as file:
        file.write("started\n")
        time.sleep(seconds)
        file.write("ended\n")


def run(services: Running, broker: Broker, sheet: Sheet, *, seconds: int, deaths: int) -> list[str]:
    """Returns what is to complain of."""
    journal = services.folder / "journal"
    with ExitStack() as stack:
        stack.enter_context(running.relay(services.folder))
        command = [sys.executable, "manage.py", "pool", QUEUE, "--", "--include=benchmarks.relay.long_task"]
        worker = Process([*command, "--concurrency=2"], services.folder / "worker.log")
        stack.callback(worker.stop)
        until_it_beats(worker)
        # Nothing that a domain declares may last so long; the caller may ask for it.
        limits: dict[str, Any] = {"soft_time_limit": seconds + 600, "time_limit": seconds + 660}
        result = long.apply_async((str(journal), seconds), **limits)
        until(journal.exists, what="the task to start")
        began = time.monotonic()
        sheet.say(f"It runs; it is to end in {seconds} s, and RabbitMQ to die {deaths} times before.")
        for number in range(1, deaths + 1):
            time.sleep(max(began + seconds * number / (deaths + 1) - time.monotonic(), 0))
            broker.kill()
            time.sleep(AWAY)
            broker.start()
            sheet.say(f"  {time.monotonic() - began:6.0f} s: RabbitMQ has died and is back.")
        left = began + seconds + SETTLED_WITHIN - time.monotonic()
        until(lambda: not Message.objects.exists(), seconds=left, what="its outcome")
        state, took = result.state, time.monotonic() - began
        survived = not worker.is_dead
    lines = Counter(journal.read_text().split())
    sheet.say(f"  {took:6.0f} s: {state}")
    sheet.note("seconds", round(took))
    sheet.note("deaths", deaths)
    sheet.note("state", state)
    sheet.note("runs", lines["started"])
    complaints = []
    if lines != {"started": 1, "ended": 1}:
        complaints.append(f"Its body started {lines['started']} times and ended {lines['ended']} times.")
    if state != "SUCCESS":
        complaints.append(f"Its outcome is {state}.")
    if not survived:
        complaints.append("Its worker ended.")
    return complaints
