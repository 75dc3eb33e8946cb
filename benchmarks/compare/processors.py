"""CPU time by kind of process, from /proc, with that of children that have ended."""

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PACED = 15
TICK = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    own: float
    ended_children: float


def seconds(programs: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far of each program, by its pid, with everything that descends from it.

    ``worker`` comes out as two: ``main``, and the ``children`` that it forked.
    """
    processes = _processes()
    below: dict[int, list[int]] = defaultdict(list)
    for pid, process in processes.items():
        below[process.parent].append(pid)

    def tree(pid: int) -> float:
        process = processes[pid]
        return process.own + process.ended_children + sum(tree(child) for child in below[pid])

    used = {}
    for name, pid in programs.items():
        if name == "worker":
            used["main"] = processes[pid].own
            used["children"] = tree(pid) - processes[pid].own
        else:
            used[name] = tree(pid)
    return used


def pace() -> float:
    """Milliseconds for what is always the same: how fast this machine is just now. Whoever owns it may halve that."""
    took = []
    for _ in range(PACED):
        began = time.perf_counter()
        sum(number * number for number in range(50_000))
        took.append(time.perf_counter() - began)
    return median(took) * 1e3


def machine() -> float:
    """CPU seconds so far of everything on this machine."""
    user, nice, system, _idle, _wait, interrupts, soft, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + interrupts + soft) * TICK


def _processes() -> dict[int, _Process]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in brackets, may hold anything.
            fields = path.read_text().rpartition(")")[2].split()
            user, system, ended_user, ended_system = map(int, fields[11:15])
            found[int(path.parent.name)] = _Process(
                int(fields[1]), (user + system) * TICK, (ended_user + ended_system) * TICK
            )
    return found
