"""A view that is shown anew every few seconds: in place in a terminal, one below the other elsewhere, until Ctrl-C."""

import argparse
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

EVERY = 2.0
SHORTEST, LONGEST = 0.5, 3600.0
TICK = 0.1

Show = Callable[[], RenderableType]


class Unread(Exception):
    """Nobody reads what is printed any more, as behind ``| head``."""


def seconds(text: str) -> float:
    """For an option. Raises ArgumentTypeError."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not SHORTEST <= found <= LONGEST:
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be used; use a number of seconds from {SHORTEST:g} to {LONGEST:g}."
        )
    return found


def watch(show: Show, *, every: float, output: TextIO, in_place: bool = True) -> None:
    """Return at Ctrl-C or SIGTERM, once ``show`` has returned, or when nobody reads ``output`` any more."""
    console = _Console(file=output)
    with suppress(Unread), _Asked() as asked:
        views = _views(show, every, asked)
        if in_place and output.isatty() and not console.is_dumb_terminal:
            _in_place(views, console)
        else:
            for view in views:
                console.print(view, soft_wrap=True)


def _in_place(views: Iterable[RenderableType], console: Console) -> None:
    with Live(console=console, auto_refresh=False) as live, _logged_above(live):
        for view in views:
            live.update(view, refresh=True)


def _views(show: Show, every: float, asked: "_Asked") -> Iterator[RenderableType]:
    while not asked.to_end:
        next_at = time.monotonic() + every
        yield show()
        while not asked.to_end and (left := next_at - time.monotonic()) > 0:
            time.sleep(min(left, TICK))


class _Asked:
    """Whether it is asked to end. An exception would come in the midst of anything, and some of that swallows it."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> "_Asked":
        self.to_end = False
        self._before = [signal.signal(number, self._note) for number in self.SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in zip(self.SIGNALS, self._before, strict=True):
            signal.signal(number, before)

    def _note(self, *_: object) -> None:
        self.to_end = True


@contextmanager
def _logged_above(live: Live) -> Iterator[None]:
    """What is logged to the same terminal goes above the view, which it would tear; the same again and again, once."""
    root = logging.getLogger()
    replaced = [each for each in root.handlers if getattr(getattr(each, "stream", None), "isatty", lambda: False)()]
    above = _Above(live)
    above.setFormatter(replaced[0].formatter if replaced else None)
    for each in replaced:
        root.removeHandler(each)
        root.addHandler(above)
    try:
        yield
    finally:
        root.removeHandler(above)
        for each in replaced:
            root.addHandler(each)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Python writes what is left as it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
        raise Unread


class _Above(logging.Handler):
    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live, self._last = live, ""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message != self._last:
            self._last = message
            self._live.console.print(Text.from_ansi(self.format(record)))
