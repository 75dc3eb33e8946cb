"""``manage.py status --watch``: live in a terminal, line by line elsewhere."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from routing.management import live
from tests.waiting import until
from tests.workers import ROOT, environment

pytestmark = pytest.mark.any_database
with_tables = pytest.mark.django_db(transaction=True)
CTRL_C = b"\x03"
SHOWS_CURSOR, UP_AND_ERASE = "\x1b[?25h", "\x1b[1A\x1b[2K"


class Terminal:
    """A command in a terminal of its own, so that Ctrl-C comes as it does in life."""

    def __init__(self, *command: str, **variables: str) -> None:
        self._inside, outside = pty.openpty()
        self._said = bytearray()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "manage.py", *command],
            cwd=ROOT,
            env={**environment(), "TERM": "xterm", "COLUMNS": "120", "LINES": "60", **variables},
            stdin=outside,
            stdout=outside,
            stderr=outside,
        )
        os.close(outside)
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def output(self) -> str:
        return self._said.decode(errors="replace")

    def until_says(self, words: str) -> None:
        until(lambda: words in self.output or self._process.poll() is not None, what=f"{words!r}")
        assert words in self.output, self.output

    def press(self, key: bytes) -> int:
        """The exit status that it leads to."""
        os.write(self._inside, key)
        until(lambda: self._process.poll() is not None, seconds=30, what=f"its end after:\n{self.output[-3000:]}")
        return int(self._process.returncode)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        try:
            while data := os.read(self._inside, 65536):
                self._said += data
        except OSError:
            # Its last user has gone.
            pass


def shown(*times: str, then: signal.Signals) -> Callable[[], str]:
    """What is shown, one after the other; with the last comes a signal."""
    left = list(times)

    def show() -> str:
        if len(left) == 1:
            signal.raise_signal(then)
        return left.pop(0)

    return show


@with_tables
def test_it_goes_on_while_the_database_is_away_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    kept = Path(environment()["DATABASE_URL"].removeprefix("sqlite:///"))
    away = tmp_path / "away"
    terminal = Terminal("status", "--watch", "0.5", DATABASE_URL=f"sqlite:///{away / kept.name}")
    try:
        terminal.until_says("The database cannot be reached. Start it, or correct DATABASE_URL.")
        away.symlink_to(kept.parent)
        terminal.until_says("No beat runs, so nothing runs by schedule.")

        assert terminal.press(CTRL_C) == 0
    finally:
        terminal.kill()

    assert UP_AND_ERASE in terminal.output
    assert "every 0.5 s; Ctrl-C ends it." in terminal.output
    assert SHOWS_CURSOR in terminal.output.rpartition("─")[2]
    # The log's line comes once, however often it was written, and whole.
    assert len(re.findall(r"The database cannot be reached: unable to open database file", terminal.output)) == 1
    assert "Traceback" not in terminal.output


@with_tables
def test_where_nobody_watches_a_line_for_programs_comes_each_time_and_it_ends_when_nobody_reads() -> None:
    command = [sys.executable, "manage.py", "status", "--json", "--watch", "0.5"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.stdout.close()

        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "BrokenPipe" not in process.stderr.read()
    assert first["at"] < second["at"]
    assert first["relay"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_outside_a_terminal_views_come_one_below_the_other_until_a_signal(number: signal.Signals) -> None:
    output, before = StringIO(), signal.getsignal(number)

    live.watch(shown("first", "second", then=number), every=0.01, output=output)

    assert output.getvalue() == "first\nsecond\n"
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("seconds", ["0", "0.49", "3601", "-1", "nan", "inf", "often"])
def test_what_is_no_number_of_seconds_is_refused(seconds: str) -> None:
    with pytest.raises(CommandError, match=r"cannot be used; use a number of seconds from 0.5 to 3600."):
        call_command("status", f"--watch={seconds}")
