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
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kombu import Connection

from benchmarks.compare import report
from benchmarks.compare.contenders import APART, DOCUMENTED, IN_RATIOS, OURS, ROOT, Contender
from benchmarks.compare.rounds import Figures, Setting, Size, Turn
from benchmarks.compare.services import Services, running, seconds_per_flush

FULL = Size()
QUICK = Size(backlog=0.4, singles=400, bulk=5_000, idle=40, loaded_seconds=4.0)


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
        contenders = [*IN_RATIOS, *(contender for name in options.apart for contender in APART[name])]
        measured = _measure(contenders, setting, rounds=options.rounds or (1 if options.quick else 5))
    in_ratios = {contender: measured[contender] for contender in IN_RATIOS}
    _say(f"\n{report.table(in_ratios)}")
    if apart := {contender: rounds for contender, rounds in measured.items() if contender.apart}:
        _say(f"\nApart, and in no ratio:\n{report.table(apart)}")
    circumstances = {
        **circumstances_of(folder),
        "rounds": len(measured[OURS]),
        "prefetch_per_process": options.prefetch,
    }
    _say(f"\n{report.summary(in_ratios, circumstances)}")


def _measure(contenders: list[Contender], setting: Setting, *, rounds: int) -> dict[Contender, list[Figures]]:
    """Every second round goes the other way, so that nobody is always the first."""
    measured: dict[Contender, list[Figures]] = defaultdict(list)
    rate = None
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            figures = Turn(contender, setting, seed=number).run(rate)
            measured[contender].append(figures)
            _say(f"round {number + 1} of {rounds}: {contender.name}, {figures['tasks_per_s']:,.0f} tasks/s")
            if rate is None:
                # Stock as documented is the first of all.
                rate = measured[DOCUMENTED][0]["tasks_per_s"] / 2
    return measured


def prepare(services: Services, folder: Path) -> None:
    """Tables and queues."""
    ours, stock = (contender.environment(services, folder) for contender in (OURS, DOCUMENTED))
    for command, environment in (
        (["manage.py", "migrate", "--verbosity=0"], ours),
        (["manage.py", "topology", "apply"], ours),
        (["-m", "django", "migrate", "--verbosity=0"], stock),
    ):
        with (folder / "prepare.log").open("ab") as log:
            subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log, check=True)
    with Connection(services.broker_url) as connection, connection.channel() as channel:
        arguments = {"x-queue-type": "quorum"}
        channel.queue_declare(  # type: ignore[attr-defined]
            DOCUMENTED.queue, durable=True, auto_delete=False, arguments=arguments
        )


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
