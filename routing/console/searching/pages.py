"""Pages of results, from the newest enqueued to the oldest, each beginning where another ended.

By place and not by number: however deep a page lies, the index leads to it, and what arrives meanwhile moves nothing.
Where a term has no index, rows are looked at in windows until the page is full or the time is up.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, DateTimeField, ExpressionWrapper, F, Q, QuerySet, TextField, Value, When
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual
from django_celery_results.models import TaskResult

from routing.console.searching.finished import Question
from routing.ledger import database

Results = QuerySet[TaskResult]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})", re.ASCII)
FIRST_WINDOW, LARGEST_WINDOW = 1_000, 16_000
WINDOW_TAKES = 0.15
"""Seconds."""


@dataclass(frozen=True, order=True)
class Place:
    """A row's, in the order of the list."""

    at: datetime
    key: int

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{self.key}"

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """None where it is not one."""
        match = _PLACE.fullmatch(text)
        try:
            return cls(_EPOCH + timedelta(microseconds=int(match[1])), int(match[2])) if match else None
        except OverflowError:
            return None


@dataclass(frozen=True)
class Page:
    """``newer``, ``older``: the places behind which more lies; ``cut``: the last that was looked at in the time."""

    rows: list[TaskResult]
    newer: Place | None = None
    older: Place | None = None
    cut: Place | None = None


@dataclass(frozen=True)
class Reading:
    """One direction from one place; from the newest if there is none."""

    rows: Results
    question: Question
    place: Place | None = None
    towards_older: bool = True


def read(reading: Reading, *, size: int, seconds: float) -> Page:
    """``seconds``: for terms without an index. Each row that is there all the time is on one page, and on no other."""
    places, cut = find(reading, size + 1, deadline=time.monotonic() + seconds)
    more = places[size - 1] if len(places) > size else cut
    if not reading.towards_older and more is None:
        # The newest page, which may have become longer since its first row was an edge.
        return read(Reading(reading.rows, reading.question), size=size, seconds=seconds)
    places = sorted(places[:size], reverse=True)
    stored = {row.pk: row for row in reading.rows.filter(pk__in=[each.key for each in places])}
    rows = [stored[each.key] for each in places if each.key in stored]
    first, last = (places[0], places[-1]) if places else (None, None)
    if reading.towards_older:
        return Page(rows, first if reading.place else None, more, cut)
    return Page(rows, more, last, cut)


def find(reading: Reading, count: int, *, deadline: float) -> tuple[list[Place], Place | None]:
    """The next places, and where the time was up. At least one window is looked at, so that who goes on from there
    comes to the end.
    """
    if not reading.question.unserved:
        return [place for place, _fits in _window(reading, count)], None
    found: list[Place] = []
    size = max(FIRST_WINDOW, count)
    while True:
        began = time.monotonic()
        window = _window(reading, size)
        found.extend(place for place, fits in window if fits)
        if len(found) >= count or len(window) < size:
            return found[:count], None
        reading = Reading(reading.rows, reading.question, window[-1][0], reading.towards_older)
        if time.monotonic() > deadline:
            return found, reading.place
        # So long that asking costs little, and so short that the time is not overdrawn by much.
        quick = time.monotonic() - began < WINDOW_TAKES
        size = min(size * 2, LARGEST_WINDOW) if quick else max(size // 2, FIRST_WINDOW, count)


def _window(reading: Reading, size: int) -> list[tuple[Place, bool]]:
    """The next rows of what indexes lead to, and whether each fulfils the other terms."""
    branches = reading.question.branches
    found = [each for branch in branches for each in _of_branch(reading, branch, size)]
    if len(branches) > 1:
        found.sort(reverse=reading.towards_older)
    return found[:size]


def _of_branch(reading: Reading, branch: Q, size: int) -> Iterator[tuple[Place, bool]]:
    slow = reading.question.slow
    # Q() stands for no condition at all, which no database has a word for.
    fits = Case(When(slow, then=Value(True)), default=Value(False)) if slow else Value(True)
    order = ("-date_created", "-pk") if reading.towards_older else ("date_created", "pk")
    rows = reading.rows.filter(branch & _beyond(reading)).order_by(*order).annotate(fits=fits)
    for at, key, fitting in rows.values_list("date_created", "pk", "fits")[:size]:
        yield Place(at, key), fitting


def _beyond(reading: Reading) -> Q:
    if reading.place is None:
        return Q()
    return beyond("date_created", reading.place.at, reading.place.key, towards_older=reading.towards_older)


def beyond(column: str, moment: datetime, key: Any, *, towards_older: bool) -> Q:
    """A range that the index knows, and of its first moment the rows that are not behind us."""
    low, high = _written(moment)
    at = _column(column)
    if towards_older:
        return Q(LessThanOrEqual(at, high)) & (Q(LessThan(at, low)) | Q(pk__lt=key))
    return Q(GreaterThanOrEqual(at, low)) & (Q(GreaterThan(at, high)) | Q(pk__gt=key))


def _column(name: str) -> Any:
    return F(name) if database.on_postgresql() else ExpressionWrapper(F(name), TextField())


def _written(at: datetime) -> tuple[Any, Any]:
    """The first and the last way of writing a moment: SQLite keeps text, Django's or of its own clock."""
    if database.on_postgresql():
        return Value(at, DateTimeField()), Value(at, DateTimeField())
    plain = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    ways = [f"{plain}.{at.microsecond:06}", *([plain] if not at.microsecond else [])]
    ways += [f"{plain}.{at.microsecond // 1000:03}"] if at.microsecond % 1000 == 0 else []
    return Value(min(ways), TextField()), Value(max(ways), TextField())
