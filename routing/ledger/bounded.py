"""Counts that stop: of many things at once from an index, in rounds, so that the whole takes so long and no longer."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from routing.ledger import database

FURTHER = 4
"""Another round has to be worth it: what is left is counted so many times as far."""


class AtLeast(int):
    """Counting stopped here, and there are more."""


def counts(
    condition: str, of: Sequence[Mapping[str, Any]], *, kinds: Mapping[str, str], budget: int, most: int
) -> list[int]:
    """How many letters fulfil the condition for each of these, in order; AtLeast where counting stopped.

    ``condition`` calls their values ``one.NAME``; ``kinds`` are PostgreSQL's types of them. A round reads ``budget``
    letters at most, and goes on with those that reached its end. None is counted further than ``most``.
    """
    found, left, bound = [0] * len(of), list(range(len(of))), 0
    while left and (wider := min(max(budget // len(left), 1), most)) >= FURTHER * bound:
        bound = wider
        for place, count in zip(left, _up_to(bound + 1, condition, [of[place] for place in left], kinds), strict=True):
            found[place] = AtLeast(bound) if count > bound else count
        left = [place for place in left if isinstance(found[place], AtLeast)]
        if bound == most:
            break
    return found


def total(counted: Collection[int]) -> int:
    """AtLeast where one of them is."""
    return (AtLeast if any(isinstance(count, AtLeast) for count in counted) else int)(sum(counted))


def of_each(query: str, of: Sequence[Mapping[str, Any]], *, kinds: Mapping[str, str]) -> list[Any]:
    """The one value that the query tells of each, in order."""
    if database.on_postgresql():
        columns = ", ".join(f"{name} {kind}" for name, kind in {"place": "integer", **kinds}.items())
        source = f"json_to_recordset(%s) AS one ({columns})"
    else:
        columns = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in ("place", *kinds))
        source = f"(SELECT {columns} FROM json_each(%s)) AS one"
    rows = database.rows(
        f"SELECT ({query}) AS told FROM {source} ORDER BY one.place",
        [json.dumps([{"place": place, **each} for place, each in enumerate(of)], default=_time)],
    )
    return [row["told"] for row in rows]


def _up_to(limit: int, condition: str, of: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> list[int]:
    stopping = f"SELECT 1 FROM routing_deadletter WHERE {condition} LIMIT {limit:d}"
    return of_each(f"SELECT count(*) FROM ({stopping}) AS found", of, kinds=kinds)


def _time(value: datetime) -> Any:
    return value.isoformat() if database.on_postgresql() else database.parameter(value)
