"""The processes of a run: each is kept running, whatever kills it, and can be killed and frozen."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LOOK_EVERY = 0.05
RESTART_AFTER = 1.0
ROOT = Path(__file__).resolve().parents[2]


class Program:
    """A process of the project, started again a second after it ended, until ``stop``."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self.deaths: set[int] = set()
        """Its main processes that ended though no attack on it was to end them."""
        self.environment = dict(environment)
        """Of its next start."""
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._attacked = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Its main process, if that runs."""
        with self._lock:
            return self._process.pid if self._process and self._process.poll() is None else None

    def children(self) -> list[int]:
        """The processes its main process has forked to run tasks, oldest first."""
        pid = self.pid
        return [child for child in _children(pid) if _is_fork_of(child, pid)] if pid else []

    def signal(self, number: signal.Signals, *, all_of_it: bool = False) -> int | None:
        """To its main process, or to every process of it. Returns the main process's id; None if it does not run."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                return None
            self._attacked = self._attacked or number in (signal.SIGKILL, signal.SIGTERM)
            (os.killpg if all_of_it else os.kill)(self._process.pid, number)
            return self._process.pid

    def begin_stop(self) -> None:
        """Ask it to finish, and do not start it again."""
        self._stopping.set()
        self.signal(signal.SIGTERM)

    def stop(self, *, within: float) -> None:
        """Return once all of it has ended, in so many seconds by itself. Safe to call again."""
        self.begin_stop()
        deadline = time.monotonic() + within
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        """Linux ties the death of what we start to this thread's, which lives until the end."""
        while not self._stopping.is_set():
            pid = self._launch()
            while self.pid is not None:
                time.sleep(LOOK_EVERY)
            if pid and not self._attacked and not self._stopping.is_set():
                self.deaths.add(pid)
            self._stopping.wait(RESTART_AFTER)

    def _launch(self) -> int | None:
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with self._lock, self.log.open("ab") as log:
            if self._stopping.is_set():
                return None
            self._attacked = False
            self._process = subprocess.Popen(
                [*guard, *self._command],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            return self._process.pid


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _is_fork_of(child: int, pid: int) -> bool:
    """Rather than another program that it has started."""
    try:
        return Path(f"/proc/{child}/cmdline").read_bytes() == Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
