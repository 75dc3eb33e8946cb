"""Deaths at the very places where they hurt most: the crash windows that routing/faults.py names.

A kill from outside mostly meets a process that waits. Here a process that passes such a place dies there, now and then.
Broken from outside, like sabotage.py, in the processes that load the chaos run's own tasks.
"""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from routing import faults

ONE_IN = 400
"""Passes of what every task passes; what is passed seldom is deadlier."""
SELDOM = {"main.settling": 8, "main.settled": 8, "redrive.marked": 4, "redrive.declared": 4}

_seed = os.environ.get("TASKYARD_CHAOS_WINDOWS", "")


class Windows:
    def __init__(self, seed: str, log: Path) -> None:
        self._seed = seed
        self._log = log
        self._pid = 0
        self._chance = random.Random()  # noqa: S311

    def point(self, name: str) -> None:
        if self._pid != os.getpid():
            # Children would all make the decisions that their parent had before it.
            self._pid = os.getpid()
            self._chance = random.Random(f"{self._seed}/{self._pid}")  # noqa: S311
        if self._chance.random() * SELDOM.get(name, ONE_IN) < 1:
            with self._log.open("a") as log:
                log.write(f"{time.time():.3f} {name} pid={self._pid}\n")
            os.kill(self._pid, signal.SIGKILL)


def install() -> None:
    """Nothing, unless the environment asks for it."""
    if _seed:
        faults.point = Windows(_seed, _log_of(Path(os.environ["TASKYARD_CHAOS_FOLDER"]))).point


def deaths(folder: Path) -> Counter[str]:
    """How many died in each window."""
    log = _log_of(folder)
    return Counter(line.split()[1] for line in log.read_text().splitlines()) if log.exists() else Counter()


def _log_of(folder: Path) -> Path:
    return folder / "windows.log"
