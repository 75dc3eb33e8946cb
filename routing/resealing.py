"""Rows that are sealed with an old key are sealed anew with today's, a few in each transaction, whoever works on them.

An app names its rows in a module ``sealed_rows``, which ``manage.py reseal`` loads:

    PLACES.append(Place(kind="letters", model=Letter, columns=("text",)))

What a worker writes of a task meanwhile is sealed with today's key (routing/sensitive.py), also where it came by a
message that is older. Safe to call again, and to be killed anywhere: what has today's key is left.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import BinaryField, Model, Q, QuerySet

from routing import faults, sealing, sensitive

WINDOW = 10_000
"""Keys that one statement looks through."""
TOGETHER = 50
"""Rows of one transaction: whoever settles one of them waits for it."""
_IN_JSON = re.compile(rf'({sensitive.SEALED}\\*" *: *\\*")([\w=-]+)', re.ASCII)
_WHOLE = re.compile(r"()([\w=-]+)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Columns in which something sealed may stand: in JSON, or where ``is_whole`` by itself."""

    kind: str
    model: type[Model]
    columns: tuple[str, ...]
    purpose: str = sensitive.PURPOSE
    is_whole: bool = False

    @property
    def using(self) -> str:
        return str(router.db_for_write(self.model))

    def rows(self) -> QuerySet[Any]:
        return self.model._base_manager.using(self.using).order_by("pk")

    def windows(self, *, after: Any = None) -> Iterator[tuple[QuerySet[Any], Any]]:
        """All rows behind this key, so many at a time, each with the last key of it; None for the end."""
        while True:
            ahead = self.rows().filter(pk__gt=after) if after is not None else self.rows()
            ends = list(ahead.values_list("pk", flat=True)[WINDOW - 1 : WINDOW])
            if not ends:
                yield ahead, None
                return
            after = ends[0]
            yield ahead.filter(pk__lte=after), after

    def keys_of(self, row: Any) -> set[str]:
        """The fingerprints of those that it is sealed with; an empty one for those that are not at hand."""
        return {
            sealing.key_of(sealed, purpose=self.purpose)
            for name in self.columns
            for _before, sealed in self._pattern.findall(_text(getattr(row, name)))
        }

    def resealed(self, row: Any) -> dict[str, Any]:
        """The columns that change, as they are to be. What no key at hand opens stays as it is."""
        new = {name: self._anew(getattr(row, name)) for name in self.columns}
        return {name: value for name, value in new.items() if value != getattr(row, name)}

    def sealed_rows(self, window: QuerySet[Any]) -> Iterator[Any]:
        return window.filter(self._may_be_sealed()).only(*self.columns).iterator(chunk_size=TOGETHER)

    @property
    def _pattern(self) -> re.Pattern[str]:
        return _WHOLE if self.is_whole else _IN_JSON

    def _anew(self, value: Any) -> Any:
        text = self._pattern.sub(self._renewed, _text(value))
        if text == _text(value):
            return value
        return text if isinstance(value, str) else text.encode("latin-1")

    def _renewed(self, found: re.Match[str]) -> str:
        before, sealed = found.groups()
        if not sealing.is_of_todays_key(sealed, purpose=self.purpose):
            try:
                return before + sealing.reseal(sealed, purpose=self.purpose)
            except sealing.SealedOtherwise:
                pass
        return found[0]

    def _may_be_sealed(self) -> Q:
        if self.is_whole:
            return reduce(or_, (~Q(**{name: ""}) for name in self.columns))
        return reduce(or_, map(self._may_hold, self.columns))

    def _may_hold(self, name: str) -> Q:
        # No database looks into bytes alike, and those of other programs are few.
        if isinstance(self.model._meta.get_field(name), BinaryField):
            return Q(**{f"{name}__isnull": False})
        return Q(**{f"{name}__contains": sensitive.SEALED})


PLACES: list[Place] = []


@dataclass
class Resealed:
    """``rows`` by kind, and ``unknown`` that no key at hand opens; ``reached``: where to go on, if it was stopped."""

    rows: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    reached: str = ""


def count() -> Iterator[tuple[Place, Counter[str]]]:
    """Of each place, how many rows need which key. A row that needs two is counted for both; nothing is changed."""
    for place in PLACES:
        found = Counter[str]()
        for window, _end in place.windows():
            for row in place.sealed_rows(window):
                found.update(place.keys_of(row))
        yield place, found


def reseal(*, begin: str = "", stopped: Callable[[], bool] = lambda: False) -> Resealed:
    """Go through everything, or from where it was stopped. Raises ValueError where that names no place."""
    done = Resealed()
    first, after = _place(begin) if begin else (0, None)
    for place in PLACES[first:]:
        for window, end in place.windows(after=after):
            done.reached = f"{place.kind}:{after}" if after is not None else place.kind
            if not _window(place, window, done, stopped):
                return done
            after = end
        after = None
    done.reached = ""
    return done


def _place(begin: str) -> tuple[int, Any]:
    kind, _colon, key = begin.partition(":")
    number = next((number for number, place in enumerate(PLACES) if place.kind == kind), None)
    if number is None:
        raise ValueError(f"{begin!r} names no place. Use one of {', '.join(place.kind for place in PLACES)}.")
    try:
        return number, PLACES[number].model._meta.pk.to_python(key) if key else None
    except ValidationError:
        raise ValueError(f"{begin!r} names no row of {kind}. Give it as it was told.") from None


def _window(place: Place, window: QuerySet[Any], done: Resealed, stopped: Callable[[], bool]) -> bool:
    keys = list[Any]()
    today = next(iter(sealing.settings_by_key()))
    for row in place.sealed_rows(window):
        needs = place.keys_of(row)
        done.unknown[place.kind] += "" in needs
        if needs - {"", today}:
            keys.append(row.pk)
    for start in range(0, len(keys), TOGETHER):
        if stopped():
            return False
        done.rows[place.kind] += reseal_rows(place, keys[start : start + TOGETHER])
    return not stopped()


def reseal_rows(place: Place, keys: Sequence[Any]) -> int:
    """Those of these that are still there, and as they are then; says how many that were."""
    count = 0
    with transaction.atomic(using=place.using):
        # In order of their keys, so that two who hold some do not wait for one another.
        for row in place.rows().filter(pk__in=keys).select_for_update(of=("self",)).only(*place.columns):
            if changed := place.resealed(row):
                count += place.rows().filter(pk=row.pk).order_by().update(**changed)
        faults.point("reseal.uncommitted")
    return count


def _text(value: Any) -> str:
    """Of bytes, each as one character."""
    return value if isinstance(value, str) else "" if value is None else bytes(value).decode("latin-1")
