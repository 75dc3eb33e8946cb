"""Keeps programs running: shows what they print, starts again what dies, and stops all of it in order.

Around honcho's processes; honcho's own manager stops everything when one ends.
"""

import contextlib
import os
import queue
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from honcho.printer import Message
from honcho.process import Process

from project.console import Console

TICK = 0.05
LONGEST_PAUSE = 30.0
PATIENCE = 8.0
"""Seconds before we say what is slow to stop."""
STEADY_AFTER = 60.0
"""A program that ran this many seconds starts again at once when it dies, as if it had never died before."""


class Stage(IntEnum):
    """What stops when: first what takes in work, then what works, then what moves it, last what the others need."""

    ENTRANCE = 1
    WORK = 2
    # What workers enqueue with their last outcome is published, too.
    TRANSPORT = 3
    FOUNDATION = 4


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, and how to ask it to stop: each signal in turn, with the time it gets; then SIGKILL."""

    name: str
    command: Sequence[str]
    stage: Stage
    output: Path | None = None
    """A file for what it prints, where that is not for the console."""
    environment: Mapping[str, str] = field(default_factory=dict)
    farewell: Sequence[tuple[signal.Signals, timedelta]] = ((signal.SIGTERM, timedelta(seconds=10)),)
    prepare: Callable[[], None] | None = None
    """Called before each start, the first included."""
    needs: Path | None = None
    """A file of its own. Where somebody has deleted that, it runs on in the dark, and is killed and started anew."""


class _Child:
    """A program with its process of the moment, if it has one."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.pid: int | None = None
        self.running = False
        self.started_at = 0.0
        self.due_at: float | None = None
        self.is_condemned = False
        self.deaths = 0
        """In a row: a steady run sets it back."""

    def signal(self, number: signal.Signals) -> None:
        if self.running and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it and whatever it started."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def lost_what_it_needs(self) -> bool:
        needs = self.program.needs
        return self.running and self.pid is not None and needs is not None and not needs.exists()

    def lost_its_main_process(self) -> bool:
        """Its children may live on and hold its output open, so the end of the output does not tell."""
        if not self.running or self.pid is None:
            return False
        try:
            # Looks without reaping: that is for honcho.
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return False


class Supervisor:
    """Runs programs in threads of its own until ``stop``, which leaving the ``with`` block calls."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Bounded, so that a terminal that stands still slows the programs down instead of filling the memory.
        self._events: queue.Queue[Message] = queue.Queue(maxsize=10_000)
        self._children: dict[str, _Child] = {}
        self._lock = threading.RLock()
        self._stopping = False
        self._closed = threading.Event()
        self._pump = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.hurry = threading.Event()
        """Set it to have everything killed that is still stopping; the foundations get a moment all the same."""

    def __enter__(self) -> Self:
        self._pump.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, program: Program) -> None:
        with self._lock:
            child = self._children[program.name] = _Child(program)
            self._launch(child)

    def pid(self, name: str) -> int | None:
        child = self._children.get(name)
        return child.pid if child and child.running else None

    def deaths(self, name: str) -> int:
        """How often in a row this program died soon after its start."""
        child = self._children.get(name)
        return child.deaths if child else 0

    def stop(self) -> None:
        """Stop everything, stage by stage. Safe to call again."""
        with self._lock:
            self._stopping = True
        for stage in Stage:
            self._stop([child for child in self._children.values() if child.program.stage is stage])
        self._closed.set()
        self._pump.join()

    def _stop(self, children: list[_Child]) -> None:
        threads = [threading.Thread(target=self._say_farewell, args=(child,)) for child in children]
        for thread in threads:
            thread.start()
        patient_until = time.monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, patient_until - time.monotonic()))
        if busy := [child.program.name for child in children if child.running]:
            self._console.warn(f"waiting for {', '.join(busy)} to finish; Ctrl-C again to cut it short")
        for thread in threads:
            thread.join()

    def _say_farewell(self, child: _Child) -> None:
        # Just launched, it has no process yet that a signal could reach.
        deadline = time.monotonic() + 2
        while child.running and child.pid is None and time.monotonic() < deadline:
            time.sleep(TICK)
        for number, grace in child.program.farewell:
            if self._has_ended(child, seconds=0):
                return
            child.signal(number)
            if self._has_ended(child, seconds=grace.total_seconds()):
                return
        child.kill()
        self._has_ended(child, seconds=5)

    def _has_ended(self, child: _Child, *, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while child.running and time.monotonic() < deadline:
            if self.hurry.is_set() and child.program.stage is not Stage.FOUNDATION:
                child.kill()
            time.sleep(TICK)
        return not child.running

    def _launch(self, child: _Child) -> None:
        child.running, child.pid, child.due_at, child.is_condemned = True, None, None, False
        self._prepare(child.program)
        child.started_at = time.monotonic()
        process = Process(_shell(child.program), name=child.program.name, env=self._environment(child.program))
        threading.Thread(target=self._follow, args=(process,), name=child.program.name, daemon=True).start()

    def _prepare(self, program: Program) -> None:
        try:
            if program.prepare is not None:
                program.prepare()
        except OSError as error:
            # It cannot start then, says so itself, and is tried again.
            self._console.warn(f"{program.name} cannot be prepared: {error}")

    def _environment(self, program: Program) -> dict[str, str]:
        colour = {"FORCE_COLOR": "1"} if self._console.coloured else {"NO_COLOR": "1"}
        return {**os.environ, "PYTHONUNBUFFERED": "1", **colour, **program.environment}

    def _follow(self, process: Process) -> None:
        """A program's own thread. It has to outlive the program: Linux ties the parent-death signal to it."""
        try:
            process.run(events=self._events)
        except OSError as error:
            process._send_message(f"cannot be started: {error.strerror}")
            process._send_message({"returncode": -1}, type="stop")

    def _run(self) -> None:
        looked_at = 0.0
        while not self._closed.is_set():
            with contextlib.suppress(queue.Empty):
                self._take(self._events.get(timeout=TICK))
            if time.monotonic() - looked_at > TICK:
                self._look_after_all()
                looked_at = time.monotonic()

    def _take(self, message: Message) -> None:
        child = self._children[message.name]
        if message.type == "line":
            self._console.line(message.name, message.data)
        elif message.type == "start":
            child.pid = message.data["pid"]
        elif message.type == "stop":
            self._note_end(child, message.data["returncode"])

    def _look_after_all(self) -> None:
        with self._lock:
            for child in self._children.values():
                self._look_after(child)

    def _look_after(self, child: _Child) -> None:
        if child.lost_its_main_process():
            child.kill()
        if child.lost_what_it_needs() and not child.is_condemned and not self._stopping:
            child.is_condemned = True
            self._console.warn(f"{child.program.needs} was deleted while {child.program.name} ran; it begins anew")
            child.kill()
        if child.due_at is not None and child.due_at <= time.monotonic() and not self._stopping:
            self._launch(child)

    def _note_end(self, child: _Child, returncode: int) -> None:
        with self._lock:
            child.running = False
            if self._stopping:
                return
            steady = time.monotonic() - child.started_at > STEADY_AFTER
            child.deaths = 1 if steady else child.deaths + 1
            pause = min(2.0 ** (child.deaths - 1), LONGEST_PAUSE)
            child.due_at = time.monotonic() + pause
        self._console.warn(f"{child.program.name} {_how_it_ended(returncode)}; it starts again in {pause:.0f} s")


def _shell(program: Program) -> str:
    """For honcho, which runs a shell: one that becomes the program, and a program that ends if we are killed."""
    guard = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    output = f">>{shlex.quote(str(program.output))} 2>&1" if program.output else ""
    return f"exec {shlex.join([*guard, *program.command])} </dev/null {output}"


def _how_it_ended(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended by itself (exit status {returncode})"
