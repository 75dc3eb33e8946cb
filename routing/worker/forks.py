"""What a thread of the worker's main process must not be doing while a child is forked.

Children are forked at any time. A lock that is held by a thread at that moment is held in the child for ever, by
nobody; SQLite, OpenSSL and the resolver have such locks. So whatever thread talks to the database does it inside
``held_off``.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_WAIT = 1.0
"""Seconds that a fork waits at most. Who takes longer is waiting for somebody else, and holds none of those locks."""

_lock = threading.RLock()
_never_again = False


@contextmanager
def held_off() -> Iterator[None]:
    """Keep forks waiting for a moment."""
    with _lock:
        yield


def hold_off_for_good() -> None:
    """For the thread that is about to replace this process: no child is forked any more."""
    global _never_again
    _never_again = True
    _lock.acquire(timeout=LONGEST_WAIT)


def _before() -> None:
    _held.append(_lock.acquire(timeout=LONGEST_WAIT))
    while _never_again:
        time.sleep(LONGEST_WAIT)


def _after_in_parent() -> None:
    if _held.pop():
        _lock.release()


def _after_in_child() -> None:
    global _lock
    _held.clear()
    _lock = threading.RLock()


_held: list[bool] = []
os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
