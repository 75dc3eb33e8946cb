"""Signals and the terminal: a first Ctrl-C stops everything, a second makes haste."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked us to stop. As KeyboardInterrupt, it is no error."""


class Interruptions:
    """Raises Stopped at the first signal, wherever the main thread is; from then on calls ``hurry``."""

    def __init__(self) -> None:
        self.hurry: Callable[[], None] = lambda: None
        self._stopping = False

    def stop_expected(self) -> None:
        """The end has begun by itself: from here on a signal means haste."""
        self._stopping = True

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            self.hurry()
            return
        self._stopping = True
        raise Stopped


@contextmanager
def interruptions() -> Iterator[Interruptions]:
    handler = Interruptions()
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield handler
    finally:
        for number, disposition in before.items():
            signal.signal(number, disposition)


@contextmanager
def own_foreground() -> Iterator[None]:
    """Take the terminal's Ctrl-C for ourselves alone, where make started us in the foreground.

    The terminal sends it to every process of the foreground group, and make would report the clean end that follows as
    an interrupted target.
    """
    if not _shares_the_foreground():
        yield
        return
    terminal, group = sys.stdin.fileno(), os.getpgrp()
    # A Ctrl-Z would stop us and leave make waiting, with no shell to come back to.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTTOU, signal.SIGTSTP)}
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, group)
        os.setpgid(0, group)
        for number, disposition in before.items():
            signal.signal(number, disposition)


def _shares_the_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp() != os.getpid()
    except (OSError, ValueError, AttributeError):
        return False
