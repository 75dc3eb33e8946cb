"""The tests on PostgreSQL and on SQLite, each in several parts, a few at a time: ``make test``.

Each run keeps its output in build/pytest-<database>-<part>.log, which is shown when the run has ended. Coverage is
measured on SQLite alone: it nearly doubles what a test costs. Arguments go to pytest.
"""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from uuid import uuid4

from tests.parts import PARTS

BUILD = Path("build")
MEASURED = "sqlite"
COVERAGE = {"COVERAGE_FILE": str(BUILD / ".coverage")}
NEWS_EVERY = 15.0
"""Seconds between two lines that tell how far they are."""
TOGETHER = max(2, 3 * (os.cpu_count() or 1) // 2)
"""Runs at a time. They wait much of their time; more of them would have real workers miss their deadlines."""
NO_TESTS = 5
INTERRUPTED = 130
PROGRESS = re.compile(r"\[ *(\d+)%\]")


class Run:
    """A part of the tests, on one database."""

    def __init__(self, database: str, part: str, arguments: list[str], *, but: str) -> None:
        self.name = f"{database}-{part}"
        self.log = BUILD / f"pytest-{self.name}.log"
        self.shown = False
        self._mark = {"TASKYARD_TEST_RUN": str(uuid4())}
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {"TEST_DATABASE": database, "TEST_PART": part}
        measured = ["-m", "coverage", "run"] if database == MEASURED else []
        command = [sys.executable, *measured, "-m", "pytest", f"--color={_colour()}", "-m", but]
        # Each with its own memory of what failed, so that PYTEST_ARGS=--lf means the same in each.
        self._command = [*command, "-o", f"cache_dir=.pytest_cache/{self.name}", *arguments]

    def start(self) -> None:
        with self.log.open("wb") as log:
            # In a session of its own: a Ctrl-C comes once, from us, and the run stops its services by itself.
            self._process = subprocess.Popen(
                self._command,
                env=os.environ | COVERAGE | self._environment | self._mark,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def has_begun(self) -> bool:
        return self._process is not None

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    @property
    def passed(self) -> bool:
        return self._process is not None and self._process.returncode in (0, NO_TESTS)

    @property
    def was_empty(self) -> bool:
        return self._process is not None and self._process.returncode == NO_TESTS

    @property
    def progress(self) -> str:
        if not self.has_begun:
            return f"{self.name} waits"
        if self.has_ended:
            return f"{self.name} has ended"
        percents = PROGRESS.findall(self._text())
        return f"{self.name} {percents[-1] if percents else 0} %"

    def show(self) -> None:
        say(f"\nTests on {self.name}\n{self._text().rstrip()}")
        self.shown = True

    def last_line(self) -> str:
        return (self._text().splitlines() or [""])[-1]

    def interrupt(self) -> None:
        if self._process is not None and not self.has_ended:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def clear_away(self) -> None:
        """End what the run has left behind: a broker, a database, workers. It should have left nothing."""
        for pid, command in _marked(self._mark):
            say(f"{self.name} left process {pid} behind, which is ended now: {command}")
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _text(self) -> str:
        return self.log.read_text(errors="replace")


class Interruption:
    """Requests to stop, such as Ctrl-C: the first ends the runs in good order, another one at once."""

    def __init__(self) -> None:
        self._requests = self._heeded = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    def __bool__(self) -> bool:
        return self._heeded > 0

    def heed(self, runs: list[Run]) -> None:
        """Do what was asked for since the last call."""
        if self._requests == self._heeded:
            return
        if not self:
            say("\nStopping the tests and their services; Ctrl-C again to cut it short.")
        for run in runs:
            run.kill() if self else run.interrupt()
        self._heeded += 1

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._requests += 1


def say(words: str) -> None:
    # A terminal that has gone away is no reason to leave services running.
    with suppress(OSError):
        sys.stdout.write(f"{words}\n")
        sys.stdout.flush()


def main(arguments: list[str]) -> int:
    interruption = Interruption()
    _clean_build()
    say(
        f"Tests on PostgreSQL and on SQLite, in {len(PARTS)} parts each, {TOGETHER} at a time. "
        f"To follow: tail -f {BUILD}/pytest-*.log"
    )
    runs = [
        Run(database, part, arguments, but=but)
        for part in PARTS
        for database, but in (("postgresql", "not any_database"), ("sqlite", "not one_database"))
    ]
    _wait_for(runs, interruption)
    if interruption:
        return INTERRUPTED
    covered = _report_coverage()
    for run in runs:
        say(f"{run.name}: {run.last_line()}")
    # What is asked for may lie in one part, and run on one database only; nothing at all is a mistake in the arguments.
    return 0 if covered and all(run.passed for run in runs) and not all(run.was_empty for run in runs) else 1


def _clean_build() -> None:
    BUILD.mkdir(exist_ok=True)
    for file in [*BUILD.glob(".coverage*"), *BUILD.glob("pytest-*.log")]:
        file.unlink()


def _wait_for(runs: list[Run], interruption: Interruption) -> None:
    """Return when all have ended; until then show each as it ends, and now and then how far they are."""
    began = told_at = time.monotonic()
    while not all(run.shown for run in runs if run.has_begun or not interruption):
        if not interruption:
            _start_next(runs)
        time.sleep(0.2)
        interruption.heed(runs)
        for run in runs:
            if run.has_ended and not run.shown:
                run.clear_away()
                run.show()
        now = time.monotonic()
        if now - told_at >= NEWS_EVERY and not interruption:
            told_at = now
            minutes, seconds = divmod(int(now - began), 60)
            say(f"  {minutes}:{seconds:02} {', '.join(run.progress for run in runs)}")


def _start_next(runs: list[Run]) -> None:
    free = TOGETHER - sum(run.has_begun and not run.has_ended for run in runs)
    for run in [run for run in runs if not run.has_begun][:free]:
        run.start()


def _report_coverage() -> bool:
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet", str(BUILD)], env=os.environ | COVERAGE, check=False)
    return subprocess.run([*coverage, "report"], env=os.environ | COVERAGE, check=False).returncode == 0


def _colour() -> str:
    return "yes" if sys.stdout.isatty() else "no"


def _marked(mark: dict[str, str]) -> list[tuple[int, str]]:
    """The live processes that have this variable in their environment, with their command lines."""
    ((name, value),) = mark.items()
    wanted = f"{name}={value}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in process.joinpath("environ").read_bytes().split(b"\0"):
                command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((int(process.name), command.strip()))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
