"""Waiting for a condition, with a deadline, in place of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T | None], *, seconds: float = 90, what: str = "", every: float = 0.05) -> T:
    """Return the condition's first true value. Fails, saying what was awaited, when the deadline passes.

    The deadline is for what never comes: beside the other tests a worker may take half a minute to start.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds} s in vain for {what or condition}; last seen: {value!r}")
        time.sleep(every)
    return value
