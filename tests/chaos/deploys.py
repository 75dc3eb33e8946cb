"""Deploys: every process is stopped and started again in turn, with the other release, as a supervisor does it."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

from tests.chaos.cast import Cast
from tests.chaos.options import STOP_WITHIN
from tests.chaos.programs import LOOK_EVERY, Program
from tests.chaos.releases import RELEASES
from tests.chaos.report import Report

READY_WITHIN = 60.0


class Deploys:
    """Begins one every so many seconds, or when the one before is through."""

    def __init__(self, cast: Cast, report: Report, *, every: float) -> None:
        self._cast = cast
        self._report = report
        self._every = every
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deploys", daemon=True)
        self.performed: Counter[str] = Counter()
        self.failed: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Return when nothing is being restarted any more."""
        self._ending.set()
        self._thread.join(STOP_WITHIN + READY_WITHIN)

    def _run(self) -> None:
        number = 0
        while not self._ending.is_set():
            number, began = number + 1, time.monotonic()
            release = RELEASES[number % len(RELEASES)]
            for program in self._programs():
                if self._ending.is_set() or self.failed:
                    return
                self._replace(program, release)
            self._report.say(f"deploy {number}, release {release}, took {time.monotonic() - began:.0f} s")
            self._ending.wait(max(0.0, began + self._every - time.monotonic()))

    def _programs(self) -> Iterator[Program]:
        cast = self._cast
        yield from (*cast.workers, *cast.relays, cast.beat, cast.web, *cast.callers)

    def _replace(self, program: Program, release: str) -> None:
        """Those that the run itself has stopped by now stay as they are."""
        clock, said = self._report.clock(), program.log.read_text(errors="replace").count(" ready.")
        program.environment["TASKYARD_CHAOS_RELEASE"] = release
        began, pid = time.monotonic(), program.signal(signal.SIGTERM)
        if pid is None:
            return
        if not self._ends(program, pid, began + STOP_WITHIN):
            # Whoever else is killed has nothing to give back.
            self.performed["killed" if program in self._cast.workers else "cut short"] += 1
            self._report.act(clock, "kill", f"{program.name}, process {pid}, had not ended in {STOP_WITHIN} s")
            program.signal(signal.SIGKILL, all_of_it=True)
        self.performed["restarted"] += 1
        self._report.act(clock, "restart", f"{program.name}, which took {time.monotonic() - began:.1f} s to end")
        if program in self._cast.workers and not self._is_ready(program, said):
            self.failed.append(f"{program.name} does not start again")

    def _ends(self, program: Program, pid: int, deadline: float) -> bool:
        while program.pid == pid and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        return program.pid != pid

    def _is_ready(self, program: Program, said: int) -> bool:
        deadline = time.monotonic() + READY_WITHIN
        while program.log.read_text(errors="replace").count(" ready.") == said and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        return time.monotonic() < deadline
