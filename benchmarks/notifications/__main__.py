"""``python -m benchmarks.notifications``: rounds in turn, a table, and as the last line one JSON object."""

import argparse
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.compare.__main__ import circumstances_of, prepare, stop_in_good_order
from benchmarks.compare.services import free_port, running
from benchmarks.notifications import report
from benchmarks.notifications.turns import WAYS, Figures, Setting, Turn, told


def main() -> None:
    options = _options()
    stop_in_good_order()
    folder = Path(tempfile.mkdtemp(prefix="taskyard-bench-", dir=options.folder))
    try:
        wrong = _run(options, folder)
    except BaseException:
        _say(f"Logs are kept in {folder}")
        raise
    shutil.rmtree(folder)
    sys.exit(1 if wrong else 0)


def _run(options: argparse.Namespace, folder: Path) -> int:
    port = free_port()
    server = told("server", str(port), environment=dict(os.environ), log=folder / "server.log")
    with running(folder) as services, server as mail:
        prepare(services, folder)
        setting = Setting(
            services=services,
            folder=folder,
            count=options.count,
            urgent=max(20, min(options.count // 50, 200)),
            mail_port=port,
            server=mail,
        )
        _say(f"{options.count:,} mails each way, to a mail server on this machine, {options.rounds} rounds.\n")
        measured = _measure(setting, rounds=options.rounds)
    circumstances: dict[str, Any] = {"count": options.count, "rounds": options.rounds, **circumstances_of(folder)}
    _say(f"\n{report.table(measured)}\n")
    _say(report.summary(measured, circumstances))
    return report.wrong(measured, "lost") + report.wrong(measured, "doubled")


def _measure(setting: Setting, *, rounds: int) -> dict[type[Turn], list[Figures]]:
    """Every second round goes the other way, so that nobody is always the first."""
    measured: dict[type[Turn], list[Figures]] = defaultdict(list)
    for number in range(rounds):
        for way in WAYS if number % 2 == 0 else reversed(WAYS):
            figures = way(setting, number=number).run()
            measured[way].append(figures)
            _say(f"round {number + 1} of {rounds}: {way.title}, {figures['mails_per_s']:,.0f} mails/s")
    return {way: measured[way] for way in WAYS}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.notifications", description=__doc__)
    parser.add_argument("--count", type=_positive, default=10_000, help="mails each way and round (%(default)s)")
    parser.add_argument("--rounds", type=_positive, default=3, help="how often (%(default)s)")
    parser.add_argument("--folder", help="where the services keep their data; a disk, not memory")
    return parser.parse_args()


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
