"""Freezing a group of processes, as a debugger would, or a machine that is suspended."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.waiting import until


def freeze(group: int) -> None:
    """Return when every thread of these processes stands still.

    The signal takes effect once a thread of the process is given a processor: until then the others work on.
    """
    os.killpg(group, signal.SIGSTOP)
    until(lambda: set(_states_of_threads(group)) <= STANDING, what=f"process group {group} to stand still", every=0.001)


STANDING = {"T", "Z"}
"""As the kernel has them: stopped, and dead but not waited for."""


def _states_of_threads(group: int) -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/task/*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _parent, of_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group:
                yield state
