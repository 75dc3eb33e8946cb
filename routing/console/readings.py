"""The last answer to a question that may be dear: asked again only after ten times as long as it took."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from routing.console.questions import Question

T = TypeVar("T")

REST = 10
"""So that however large the tables and however many ask, one connection is busy for a tenth of the time at most."""


@dataclass(frozen=True)
class Known(Generic[T]):
    value: T
    at: float
    """A time of the clock."""


class Reading(Generic[T]):
    """Safe from any thread. ``clock`` is any that only moves forward."""

    def __init__(
        self, ask: Callable[[], T], *, name: str, rest: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``rest``: seconds for which an answer is good in any case."""
        self._ask = ask
        self._rest = rest
        self._clock = clock
        self._question = Question(self._read, name=name)
        self._known: Known[T] | None = None
        self._rested_at = float("-inf")

    @property
    def known(self) -> Known[T] | None:
        """The last answer, however old."""
        return self._known

    def begin(self) -> None:
        """Ask, if it is time to, and wait for nothing."""
        if self._clock() >= self._rested_at:
            self._question.put()

    def latest(self, *, seconds: float) -> Known[T] | None:
        """Wait no longer than this for a new answer, then give the one before; None where there is none yet.

        Raises what asking raised.
        """
        if self._clock() >= self._rested_at:
            error = self._question.answer(seconds=seconds).error
            if error and not isinstance(error, TimeoutError):
                raise error
        return self._known

    def age(self, known: Known[T]) -> float:
        """Seconds."""
        return self._clock() - known.at

    def _read(self) -> None:
        began = self._clock()
        value = self._ask()
        # Noted here and not by whoever waits, who may be gone by now.
        self._known = Known(value, self._clock())
        self._rested_at = self._known.at + max(REST * (self._known.at - began), self._rest)
