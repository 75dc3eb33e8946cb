"""What a call costs that enqueues: by itself, within a transaction, and many together."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from benchmarks.relay import flood, tasks, usage
from benchmarks.relay.sheet import Sheet
from routing.ledger import database

ROUNDS = 5


def measure(sheet: Sheet, *, singles: int, many: int) -> None:
    """The median of some rounds of each kind, in turn."""
    kinds: dict[str, tuple[int, Callable[[int], None]]] = {
        "delay, each its own transaction": (singles, _one_by_one),
        "delay, all in one transaction": (singles, _in_one_transaction),
        "enqueue_many": (many, _together),
    }
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for count, enqueue in kinds.values():
        enqueue(count // 10)
    for _ in range(ROUNDS):
        for kind, (count, enqueue) in kinds.items():
            found[kind].append(_cost(count, enqueue))
            flood.drain()
    figures = {kind: _median(rounds) for kind, rounds in found.items()}
    sheet.note("enqueue", figures)
    sheet.say(f"{'':34} calls/s   microseconds a call: wall   this process   the server's")
    for kind, figure in figures.items():
        sheet.say(
            f"  {kind:32} {figure['per_s']:7,.0f} {figure['wall_us']:26,.0f} {figure['cpu_us']:14,.0f} "
            f"{figure['server_us']:14,.0f}"
        )


def _one_by_one(count: int) -> None:
    _delay(count, nullcontext())


def _in_one_transaction(count: int) -> None:
    _delay(count, database.atomic())


def _delay(count: int, around: Any) -> None:
    with around:
        for number in range(count):
            tasks.quiet.delay(number)


def _together(count: int) -> None:
    tasks.quiet.enqueue_many([(number,) for number in range(count)])  # type: ignore[attr-defined]


def _cost(count: int, enqueue: Callable[[int], None]) -> dict[str, float]:
    server = _server_process()
    began = time.perf_counter(), time.process_time(), server().processor
    enqueue(count)
    wall, own, served = (
        time.perf_counter() - began[0],
        time.process_time() - began[1],
        server().processor - began[2],
    )
    return {
        "per_s": count / wall,
        "wall_us": wall / count * 1e6,
        "cpu_us": own / count * 1e6,
        "server_us": served / count * 1e6,
    }


def _server_process() -> Callable[[], usage.Usage]:
    """Of PostgreSQL, the process that serves this connection; SQLite works in ours."""
    if not database.on_postgresql():
        return usage.Usage
    (row,) = database.rows("SELECT pg_backend_pid() AS pid")
    return lambda: usage.of_process(row["pid"])


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return sorted(rounds, key=lambda one: one["per_s"])[len(rounds) // 2]
