"""``python -m benchmarks.compare``: rounds in turn, a table, and as the last line one JSON object."""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kombu import Connection

from benchmarks.compare import report
from benchmarks.compare.contenders import APART, IN_RATIOS, LOADS, OURS, ROOT, Contender
from benchmarks.compare.rounds import Setting, Size, Turn
from benchmarks.compare.services import Services, running, seconds_per_flush

FULL = Size()
QUICK = Size(backlog=0.15, slices=3, warm_up=60, singles=200, bulk=4_000, idle=24, loaded_seconds=1.2)


def main() -> None:
    options = _options()
    stop_in_good_order()
    folder = Path(tempfile.mkdtemp(prefix="taskyard-bench-", dir=options.folder))
    try:
        _run(options, folder)
    except BaseException:
        _say(f"Logs are kept in {folder}")
        raise
    shutil.rmtree(folder)


def stop_in_good_order() -> None:
    """Services are stopped on the way out, whoever ends us."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _run(options: argparse.Namespace, folder: Path) -> None:
    with running(folder) as services:
        prepare(services, folder)
        setting = Setting(
            services=services, folder=folder, size=QUICK if options.quick else FULL, prefetch=options.prefetch
        )
        rounds = options.rounds or (1 if options.quick else 5)
        measured = _measure(IN_RATIOS, setting, rounds=rounds)
        apart: dict[Contender, list[Turn]] = {}
        for contender in (contender for name in options.apart for contender in APART[name]):
            apart |= _measure([contender], setting, rounds=rounds)
    _say(f"\n{report.table(measured)}")
    if apart:
        _say(f"\nApart, and in no ratio:\n{report.table(apart)}")
    circumstances = {**circumstances_of(folder), "rounds": rounds, "prefetch_per_process": options.prefetch}
    _say(f"\n{report.summary(measured, circumstances)}")


def _measure(contenders: Sequence[Contender], setting: Setting, *, rounds: int) -> dict[Contender, list[Turn]]:
    measured: dict[Contender, list[Turn]] = defaultdict(list)
    rates: dict[str, float] = {}
    for number in range(rounds):
        turns = [Turn(contender, setting, seed=number) for contender in contenders]
        _round(turns, setting.size.slices, rates)
        for turn in turns:
            measured[turn.contender].append(turn)
        throughputs = ", ".join(f"{turn.contender.name} {turn.figures['tasks_per_s']:,.0f}" for turn in turns)
        _say(f"round {number + 1} of {rounds}, tasks/s: {throughputs}")
    return measured


def _round(turns: Sequence[Turn], slices: int, rates: dict[str, float]) -> None:
    """Every second backlog goes the other way, so that nobody is always the first.

    ``rates``: the loads, in calls a second, of all rounds. The first round makes them, of stock's throughputs.
    """
    with ExitStack() as stack:
        for turn in turns:
            turn.open(stack)
        for turn in turns:
            turn.enqueue()
        for turn in turns:
            turn.start(stack)
        for number in range(slices):
            for turn in _in_order(turns, number):
                turn.work_off()
        if not rates:
            throughputs = {turn.contender: turn.figures["tasks_per_s"] for turn in turns}
            rates |= {name: throughputs[one] / 2 for name, one in LOADS.items() if one in throughputs}
        for number in range(slices):
            for turn in _in_order(turns, number):
                turn.answer(number, rates)
    for turn in turns:
        turn.require_empty_queue()


def _in_order(turns: Sequence[Turn], number: int) -> Iterable[Turn]:
    return turns if number % 2 == 0 else reversed(turns)


def prepare(services: Services, folder: Path) -> None:
    """Tables and queues."""
    stock = {contender.database: contender for contender in IN_RATIOS if not contender.is_ours}.values()
    migrating = [
        _started(["manage.py", "migrate", "--verbosity=0"], OURS, services, folder),
        *(_started(["-m", "django", "migrate", "--verbosity=0"], contender, services, folder) for contender in stock),
    ]
    for one in migrating:
        _require_success(one)
    _require_success(_started(["manage.py", "topology", "apply"], OURS, services, folder))
    with Connection(services.broker_url) as connection, connection.channel() as channel:
        arguments = {"x-queue-type": "quorum"}
        for contender in stock:
            channel.queue_declare(  # type: ignore[attr-defined]
                contender.queue, durable=True, auto_delete=False, arguments=arguments
            )


def _started(command: list[str], contender: Contender, services: Services, folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / "prepare.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=contender.environment(services, folder),
            stdout=log,
            stderr=log,
        )


def _require_success(process: "subprocess.Popen[bytes]") -> None:
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, process.args)


def circumstances_of(folder: Path) -> dict[str, Any]:
    return {
        "commit": _commit(),
        "cores": os.cpu_count(),
        "flush_ms": round(seconds_per_flush(folder) * 1e3, 3),
        "python": platform.python_version(),
        **{name: version(name) for name in ("celery", "django", "django-celery-results")},
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small round, under two minutes")
    parser.add_argument("--rounds", type=int, help="5, or 1 with --quick")
    parser.add_argument("--prefetch", type=int, default=4, help="messages per worker process, the same for all")
    parser.add_argument(
        "--apart", nargs="*", choices=sorted(APART), default=[], help="show these as well, but in no ratio"
    )
    parser.add_argument("--folder", help="where the services keep their data; a disk, not memory")
    return parser.parse_args()


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
