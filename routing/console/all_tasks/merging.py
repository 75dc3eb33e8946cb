"""One page of two lists that are read side by side, from the newest created task to the oldest.

At one moment tasks in flight come before finished ones. Each list is read by its own place, however deep it lies.
"""

import heapq
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import QuerySet
from django_celery_results.models import TaskResult

from routing.console.searching import pages
from routing.console.searching.finished import Question
from routing.console.searching.pages import Place, Reading
from routing.ledger.tables import Message

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPOT = re.compile(r"([0-9]{1,18})-(?:r([0-9]{1,18})|t([^\0]{1,255}))", re.ASCII | re.DOTALL)
_BEHIND_ALL = 10**18 - 1
"""No result's key is as large."""


@dataclass(frozen=True)
class Spot:
    """A row's place: its moment, and the key of a result or the id of a task in flight."""

    at: datetime
    key: int = _BEHIND_ALL
    task_id: str = ""

    def __str__(self) -> str:
        which = f"t{self.task_id}" if self.task_id else f"r{self.key}"
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{which}"

    @classmethod
    def read(cls, text: str) -> "Spot | None":
        """None where it is not one."""
        found = _SPOT.fullmatch(text)
        try:
            at = _EPOCH + timedelta(microseconds=int(found[1])) if found else None
        except OverflowError:
            return None
        if found is None or at is None:
            return None
        return cls(at, task_id=found[3]) if found[3] else cls(at, int(found[2]))

    @property
    def order(self) -> tuple[datetime, bool]:
        return self.at, bool(self.task_id)


@dataclass(frozen=True)
class Tasks:
    """Both lists, and what is asked of the finished ones."""

    results: "QuerySet[TaskResult]"
    question: Question
    in_flight: "QuerySet[Message]"


@dataclass(frozen=True)
class Page:
    """``newer``, ``older``: the places behind which more lies; ``cut``: the last that was looked at in the time."""

    rows: list[TaskResult | Message]
    newer: Spot | None = None
    older: Spot | None = None
    cut: Spot | None = None


def read(tasks: Tasks, spot: Spot | None, *, towards_older: bool, size: int, seconds: float) -> Page:
    """``seconds``: for what no index serves. Each row that is there all the time is on one page, and on no other."""
    spots, cut = _found(tasks, spot, towards_older, size + 1, seconds)
    more = spots[size - 1] if len(spots) > size else cut
    if not towards_older and more is None:
        # The newest page, which may have become longer since its first row was an edge.
        return read(tasks, None, towards_older=True, size=size, seconds=seconds)
    spots = spots[:size] if towards_older else spots[size - 1 :: -1]
    # From where nothing was found the way back is past all that was looked at, so that a row that was an edge is on it.
    first, last = (spots[0], spots[-1]) if spots else (cut or spot, cut or spot)
    rows = list(_rows(tasks, spots))
    if towards_older:
        return Page(rows, first if spot else None, more, cut)
    return Page(rows, more, last, cut)


def _found(
    tasks: Tasks, spot: Spot | None, towards_older: bool, count: int, seconds: float
) -> tuple[list[Spot], Spot | None]:
    place = Place(spot.at, spot.key) if spot else None
    reading = Reading(tasks.results, tasks.question, place, towards_older)
    places, end = pages.find(reading, count, deadline=time.monotonic() + seconds)
    finished, cut = [Spot(each.at, each.key) for each in places], Spot(end.at, end.key) if end else None
    in_flight = _in_flight(tasks, spot, towards_older, count)
    if cut is not None:
        # What lies further is for the page that looks further.
        in_flight = [each for each in in_flight if (each.at >= cut.at) == towards_older]
    merged = heapq.merge(finished, in_flight, key=lambda each: each.order, reverse=towards_older)
    return list(merged)[:count], cut


def _in_flight(tasks: Tasks, spot: Spot | None, towards_older: bool, count: int) -> list[Spot]:
    rows = tasks.in_flight
    if spot is not None:
        rows = rows.filter(pages.beyond("created_at", spot.at, spot.task_id, towards_older=towards_older))
    order = ("-created_at", "-pk") if towards_older else ("created_at", "pk")
    return [Spot(at, task_id=key) for at, key in rows.order_by(*order).values_list("created_at", "pk")[:count]]


def _rows(tasks: Tasks, spots: list[Spot]) -> Iterator[TaskResult | Message]:
    results = tasks.results.in_bulk([each.key for each in spots if not each.task_id])
    in_flight = tasks.in_flight.in_bulk([each.task_id for each in spots if each.task_id])
    for spot in spots:
        found = in_flight.get(spot.task_id) if spot.task_id else results.get(spot.key)
        if found is not None:
            yield found
