"""Conditions that finished tasks and tasks in flight have in common, the same on both databases."""

import json
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce

from django.db.models import F, Q, Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

LOOKUPS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
TURNED = {">": "lt", ">=": "lte", "<": "gt", "<=": "gte"}
"""Of the moment itself, where a sign is of the time since then."""
_LITERAL = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null", re.ASCII)
NOTHING = Q(pk__in=[])


@dataclass(frozen=True)
class Condition:
    """``served``: whether an index leads to what fulfils it, so that its time does not grow with the table.

    ``branches``: alternatives that share no row, where an index begins with each of them; ``kind``: with which column.
    """

    word: str
    q: Q
    served: bool
    kind: str = ""
    branches: tuple[Q, ...] | None = None


def either(conditions: Iterable[Q]) -> Q:
    return reduce(operator.or_, conditions, NOTHING)


def holds(column: str, text: str) -> Q:
    """Character by character; LIKE means something else on each database."""
    return Q(GreaterThan(StrIndex(column, Value(text)), 0))


def later(column: str, *, than: str, sign: str, by: timedelta) -> Q:
    """The time from one column to another. Nothing where one of them is empty."""
    return Q(**{f"{column}__{LOOKUPS[sign]}": F(than) + by})


def argument(column: str, *, key: str, value: str) -> Q:
    """As Celery writes JSON: a space behind each colon, and then a comma or the end of the object."""
    beginning = f"{json.dumps(key)}: "
    found = holds(column, beginning + json.dumps(value))
    if _LITERAL.fullmatch(value):
        found |= holds(column, f"{beginning}{value},") | holds(column, f"{beginning}{value}}}")
    return found


def escaped(text: str) -> str:
    """Text as it stands in JSON, which writes some characters in its own way."""
    return json.dumps(text)[1:-1]


def pattern(written: str) -> re.Pattern[str]:
    """``reporting.*`` for whole names; only the star is special."""
    return re.compile(".*".join(re.escape(part) for part in written.split("*")), re.DOTALL)
