"""Memory and processor time of processes, as Linux tells them."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
KILOBYTE = 1024


@dataclass(frozen=True)
class Usage:
    """Bytes of memory, and seconds of processor time since it began."""

    memory: int = 0
    processor: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.memory + other.memory, self.processor + other.processor)


def of_tree(pid: int | None) -> Usage:
    """Of the process and all that descend from it and live."""
    if pid is None:
        return Usage()
    return sum((of_tree(child) for child in _children(pid)), of_process(pid))


def of_process(pid: int) -> Usage:
    """Nothing, if it has ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        resident = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        return Usage(resident, (int(fields[11]) + int(fields[12])) / TICKS)
    return Usage()


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Watch(threading.Thread):
    """The memory of a process and its descendants, looked at twice a second until ``stop``."""

    EVERY = 0.5

    def __init__(self, look: Callable[[], Usage]) -> None:
        super().__init__(name="watch", daemon=True)
        self._look = look
        self._ended = threading.Event()
        self.seen = [look().memory]

    def run(self) -> None:
        while not self._ended.wait(self.EVERY):
            self.seen.append(self._look().memory)

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self.seen.append(self._look().memory)

    def megabytes(self) -> dict[str, int]:
        first, last = self.seen[0], self.seen[-1]
        return {
            name: value // KILOBYTE**2 for name, value in (("start", first), ("max", max(self.seen)), ("end", last))
        }
