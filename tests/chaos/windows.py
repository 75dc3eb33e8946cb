"""Deaths at the very places where they hurt most: the crash windows that routing/faults.py names.

A kill from outside mostly meets a process that waits. Here a process that passes such a place dies there, now and then.
Broken from outside, like sabotage.py, in the processes that load the chaos run's own tasks.
"""

import os
import random
import signal
import time
from pathlib import Path

from routing import faults

ONE_IN = 400
"""Of so many passes one is deadly, where every task passes."""
OTHERS = {"main": 8, "redrive": 4, "relay": 1500}
"""The same for places that are passed more seldom, or all the time; by the first part of their names."""

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
        if self._chance.random() * OTHERS.get(name.partition(".")[0], ONE_IN) < 1:
            with self._log.open("a") as log:
                log.write(f"{time.time():.3f} {name} pid={self._pid}\n")
            os.kill(self._pid, signal.SIGKILL)


def install() -> None:
    """Nothing, unless the environment asks for it."""
    if _seed:
        faults.point = Windows(_seed, _log_of(Path(os.environ["TASKYARD_CHAOS_FOLDER"]))).point


def deaths(folder: Path) -> dict[int, str]:
    """Which processes died, and in which window."""
    log = _log_of(folder)
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return {int(pid.removeprefix("pid=")): name for _, name, pid in lines}


def _log_of(folder: Path) -> Path:
    return folder / "windows.log"
