"""Mails by each way, round after round in turn: a table, and as the last line one JSON object."""

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


def measure(*, count: int, rounds: int, within: str | None) -> bool:
    """False if a mail was lost or came twice. The services keep their data ``within`` this folder."""
    stop_in_good_order()
    folder = Path(tempfile.mkdtemp(prefix="taskyard-bench-", dir=within))
    try:
        wrong = _run(folder, count=count, rounds=rounds)
    except BaseException:
        _say(f"Logs are kept in {folder}")
        raise
    shutil.rmtree(folder)
    return not wrong


def _run(folder: Path, *, count: int, rounds: int) -> int:
    port = free_port()
    server = told("server", str(port), environment=dict(os.environ), log=folder / "server.log")
    with running(folder) as services, server as mail:
        prepare(services, folder)
        setting = Setting(
            services=services,
            folder=folder,
            count=count,
            urgent=max(20, min(count // 50, 200)),
            mail_port=port,
            server=mail,
        )
        _say(f"{count:,} mails each way, to a mail server on this machine, {rounds} rounds.\n")
        measured = _in_turn(setting, rounds=rounds)
    circumstances: dict[str, Any] = {"count": count, "rounds": rounds, **circumstances_of(folder)}
    _say(f"\n{report.table(measured)}\n")
    _say(report.summary(measured, circumstances))
    return report.wrong(measured, "lost") + report.wrong(measured, "doubled")


def _in_turn(setting: Setting, *, rounds: int) -> dict[type[Turn], list[Figures]]:
    """Every second round goes the other way, so that nobody is always the first."""
    measured: dict[type[Turn], list[Figures]] = defaultdict(list)
    for number in range(rounds):
        for way in WAYS if number % 2 == 0 else reversed(WAYS):
            figures = way(setting, number=number).run()
            measured[way].append(figures)
            _say(f"round {number + 1} of {rounds}: {way.title}, {figures['mails_per_s']:,.0f} mails/s")
    return {way: measured[way] for way in WAYS}


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
