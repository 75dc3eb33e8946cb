"""What the operator sees: our own sentences, and each program's lines behind its name, also kept in a file each."""

import io
import logging
import logging.handlers
import os
import re
import sys
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

KEPT_BYTES, KEPT_FILES = 10_000_000, 3
COLOURS = ("36", "32", "35", "34", "33", "96", "92", "95", "94", "93")
BOLD, RED, YELLOW, GREEN = "1", "1;31", "33", "1;32"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class _LogFile(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's own name)
        """A full disk costs the copy in the file; the console goes on."""


class Console:
    """Prints whole lines from any thread. A terminal that has gone away silences it, and nothing else."""

    def __init__(self, folder: Path, *, stream: TextIO | None = None, show_programs: bool = True) -> None:
        self.folder = folder
        self._stream: TextIO = stream or sys.stdout
        if isinstance(self._stream, io.TextIOWrapper):
            # In a terminal that knows no Unicode.
            self._stream.reconfigure(errors="replace")
        self._show_programs = show_programs
        self._lock = threading.Lock()
        self._files: dict[str, logging.Handler] = {}
        self._width = 8
        self.coloured = _in_colour(self._stream)

    def say(self, text: str, *, colour: str = "") -> None:
        with self._lock:
            for line in text.splitlines() or [""]:
                self._write(self._paint(line, colour))

    def warn(self, text: str) -> None:
        self.say(f"{datetime.now():%H:%M:%S} {text}", colour=YELLOW)  # noqa: DTZ005  (the operator's own clock)

    def line(self, name: str, data: bytes | str) -> None:
        """A program's line."""
        text = data.decode(errors="replace") if isinstance(data, bytes) else data
        with self._lock:
            for line in filter(str.strip, text.splitlines()):
                self._keep(name, line)
                if self._show_programs:
                    self._write(f"{self._prefix(name)}{line}")

    def reserve(self, names: list[str]) -> None:
        """Make room for these names, so that all lines begin in one column."""
        self._width = max(map(len, [*names, ""]))

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def last_line(self, name: str) -> str:
        """The last line that a program printed; empty if there is none."""
        try:
            lines = self.log(name).read_text(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """Close the log files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _keep(self, name: str, line: str) -> None:
        try:
            if name not in self._files:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._files[name] = _LogFile(
                    self.log(name), maxBytes=KEPT_BYTES, backupCount=KEPT_FILES, encoding="utf-8"
                )
        except OSError:
            return
        self._files[name].handle(logging.makeLogRecord({"msg": _ESCAPES.sub("", line)}))

    def _prefix(self, name: str) -> str:
        # Of the name alone, so that a program keeps its colour from one start to the next.
        colour = COLOURS[sum(name.encode()) % len(COLOURS)]
        return self._paint(f"{name.ljust(self._width)} │ ", colour)

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self.coloured and text else text

    def _write(self, line: str) -> None:
        try:
            print(line, file=self._stream, flush=True)
        except (OSError, ValueError):
            self._silence()

    def _silence(self) -> None:
        """Nobody is there any more; what is still in the buffer must not fail when it is flushed at the end."""
        with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), self._stream.fileno())


def _in_colour(stream: TextIO) -> bool:
    """NO_COLOR and FORCE_COLOR as no-color.org and force-color.org have them; else whether people are watching."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()
