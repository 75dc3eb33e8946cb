"""What a thread of the worker's main process must not be doing while a child is forked.

Children are forked at any time. A lock that is held by a thread at that moment is held in the child for ever, by
nobody; SQLite, OpenSSL and the resolver have such locks. So whatever thread talks to the database does it inside
``held_off``.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_WAIT = 1.0
"""Seconds that a fork waits at most. Who takes longer is waiting for somebody else, and holds none of those locks."""

_turn = threading.Condition()
_holders = 0
_is_due = False
"""A fork is waiting for the holders. Nobody becomes one meanwhile, or its turn might never come."""
_never_again = False


@contextmanager
def held_off() -> Iterator[None]:
    """Keep forks waiting for a moment. Any number of threads at once, but not one within another of the same thread."""
    global _holders
    with _turn:
        _turn.wait_for(lambda: not _is_due, LONGEST_WAIT)
        _holders += 1
    try:
        yield
    finally:
        with _turn:
            _holders -= 1
            _turn.notify_all()


def hold_off_for_good() -> None:
    """For the thread that is about to replace this process: no child is forked any more."""
    global _never_again
    _never_again = True
    if _turn.acquire(timeout=LONGEST_WAIT):
        _turn.release()


def _before() -> None:
    global _is_due
    _turn.acquire()
    _is_due = True
    _turn.wait_for(lambda: not _holders, LONGEST_WAIT)
    while _never_again:
        _turn.wait(LONGEST_WAIT)


def _after_in_parent() -> None:
    global _is_due
    _is_due = False
    _turn.notify_all()
    _turn.release()


def _after_in_child() -> None:
    global _turn, _holders, _is_due
    _turn, _holders, _is_due = threading.Condition(), 0, False


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
