"""The parts, one after the other."""

import os
import statistics
import time
from collections.abc import Collection
from pathlib import Path

from benchmarks.relay import bystander, enqueueing, isolation, publishing
from benchmarks.relay.services import Running
from benchmarks.relay.sheet import Sheet

BUSY = 0.7
"""A load above which others are at work on this machine."""


def measure(services: Running, sheet: Sheet, *, quick: bool, parts: Collection[str], rounds: int | None) -> None:
    sheet.note("database", services.database)
    _tell_of_machine(services.folder, sheet)
    if "enqueue" in parts:
        sheet.say(f"\nEnqueueing, on {services.database}")
        enqueueing.measure(sheet, singles=300 if quick else 3_000, many=3_000 if quick else 10_000)
    if "relay" in parts:
        backlog = 10_000 if quick else 50_000
        sheet.say(f"\nOne relay, from a backlog of {backlog:,} in one queue, on {services.database}")
        publishing.measure(services, sheet, backlog=backlog, rounds=1 if quick else 3)
    if services.database != "postgresql":
        return
    if "isolation" in parts:
        rows = 100_000 if quick else 1_000_000
        sheet.say(f"\nA task's wait, while {rows:,} are due in another lane")
        isolation.measure(services, sheet, rows=rows, seconds=4 if quick else 20, rounds=rounds or (1 if quick else 3))
    if "bystander" in parts and not quick:
        sheet.say("\nA relay beside a long transaction")
        bystander.measure(services, sheet, alone=30, beside=90)


def _tell_of_machine(folder: Path, sheet: Sheet) -> None:
    load, flush = os.getloadavg()[0], statistics.median(_flush(folder) for _ in range(100))
    sheet.note("machine", {"cores": os.cpu_count(), "load": load, "flush_ms": round(flush * 1e3, 2)})
    sheet.say(f"{os.cpu_count()} cores, a load of {load:.1f}, {flush * 1e3:.1f} ms for the disk to keep a page")
    if load > BUSY:
        sheet.say("Others are at work on this machine: take the figures for what they are.")


def _flush(folder: Path) -> float:
    with (folder / "page").open("wb") as file:
        file.write(bytes(8192))
        file.flush()
        began = time.perf_counter()
        os.fdatasync(file.fileno())
        return time.perf_counter() - began
