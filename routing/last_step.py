"""What a body leaves to be done in the transaction of its outcome: both are kept, or neither."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LastStep:
    """Returned by a body in place of a value.

    For a task that does something outside of the database, and then writes that down: the writing, ``step``, becomes
    part of the transaction that records the outcome, which saves a commit and leaves no time between the two. What it
    returns is the task's value; what it raises is the task's failure. It is called again where the database went away,
    and its effects stay even if the outcome is another run's to record: what it writes down did happen.
    """

    step: Callable[[], Any]
