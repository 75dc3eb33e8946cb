"""The programs of one round: a sender that is told what to send, a worker, and for ours a relay."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.compare.contenders import ROOT
from tests.waiting import until


class Program:
    """A process with its log; ended, with all that it started, when the block ends."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        self.popen.terminate()
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()

    def stop_for_a_while(self) -> None:
        """The process itself, and not its children: they have nothing to do without it."""
        self.popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Safe to call again."""
        self.popen.send_signal(signal.SIGCONT)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it. Raises SystemExit if the program ends meanwhile."""
        until(lambda: condition() or self.popen.poll() is not None, what=f"a program; its log is {self.log}")
        if self.popen.poll() is not None:
            raise SystemExit(f"{self.popen.args!r} ended:\n{self.log.read_text(errors='replace')[-2000:]}")


class Sender:
    """Speaks with benchmarks/compare/sender.py, a line of JSON each way."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen

    def ask(self, do: str, **values: Any) -> dict[str, float]:
        """Have it send, and return what that took once it is done."""
        assert self._popen.stdin is not None  # noqa: S101
        self._popen.stdin.write(json.dumps({"do": do, **values}) + "\n")
        self._popen.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, float]:
        assert self._popen.stdout is not None  # noqa: S101
        line = self._popen.stdout.readline()
        if not line:
            raise SystemExit("The sender ended; its log is sender.log in the folder above.")
        figures: dict[str, float] = json.loads(line)
        return figures


@contextmanager
def sending(side: str, environment: Mapping[str, str], log: Path) -> Iterator[Sender]:
    with log.open("ab") as errors:
        popen = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.compare.sender", side],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with popen:
        sender = Sender(popen)
        try:
            sender.answer()
            yield sender
        finally:
            popen.terminate()
