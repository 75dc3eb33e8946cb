"""Causes: open dead letters by their fingerprint, how many, since when and how often, read from indexes alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from routing.ledger import database
from routing.ledger.tables import DeadLetter

SHOWN = 50
"""The largest; of the others it is told how many they are."""
LATEST = 20_000
"""Letters to go by where counting all of them takes too long."""
HOURS = 24


@dataclass(frozen=True)
class Cause:
    """Open letters that are alike; with an empty fingerprint, those without one yet. ``newest``: a letter's number."""

    fingerprint: str
    count: int
    first_at: datetime
    last_at: datetime
    newest: int


@dataclass(frozen=True)
class Causes:
    """``shown``: the largest first. ``count`` of causes and ``letters`` are of all."""

    shown: tuple[Cause, ...] = ()
    count: int = 0
    letters: int = 0


def causes() -> Causes:
    return _grouped("state = 'open'", [])


def latest_causes() -> Causes:
    """Of the letters that were set aside last."""
    return _grouped(
        f"id IN (SELECT id FROM routing_deadletter WHERE state = 'open' ORDER BY dead_at DESC LIMIT {LATEST})", []
    )


def cause(fingerprint: str) -> Cause | None:
    """None where nothing of it is open."""
    return next(iter(_grouped("state = 'open' AND fingerprint = %s", [fingerprint]).shown), None)


def open_letters(fingerprint: str, *, after: int = 0, until: int | None = None) -> "QuerySet[DeadLetter]":
    """In order of their numbers, by an index that has just them. ``after`` and ``until`` are numbers, too."""
    rows = DeadLetter.objects.using(database.using()).filter(fingerprint=fingerprint, state=DeadLetter.State.OPEN)
    rows = rows.filter(pk__gt=after) if after else rows
    return (rows.filter(pk__lte=until) if until is not None else rows).order_by("pk")


def hours(fingerprints: Sequence[str], *, now: datetime) -> dict[str, list[int]]:
    """How many were set aside in each of the last 24 hours, the oldest first, whatever was decided about them since."""
    counted = {fingerprint: [0] * HOURS for fingerprint in fingerprints}
    if not fingerprints:
        return counted
    found = database.rows(
        f"""
        SELECT fingerprint, {_hours_ago()} AS hours_ago, count(*) AS letters FROM routing_deadletter
        WHERE fingerprint IN ({", ".join(["%s"] * len(fingerprints))}) AND dead_at > %s
        GROUP BY 1, 2
        """,
        [_moment(now), *fingerprints, database.parameter(now - timedelta(hours=HOURS))],
    )
    for row in found:
        # What was set aside while this was asked for is of the last hour, too.
        counted[row["fingerprint"]][HOURS - 1 - min(max(int(row["hours_ago"]), 0), HOURS - 1)] += row["letters"]
    return counted


def _grouped(condition: str, values: Sequence[Any]) -> Causes:
    found = database.rows(
        f"""
        SELECT fingerprint, count(*) AS letters, min(dead_at) AS first_at, max(dead_at) AS last_at, max(id) AS newest,
            count(*) OVER () AS all_causes, sum(count(*)) OVER () AS all_letters
        FROM routing_deadletter WHERE {condition}
        GROUP BY fingerprint ORDER BY letters DESC, newest DESC LIMIT {SHOWN}
        """,
        values,
    )
    if not found:
        return Causes()
    return Causes(tuple(map(_cause, found)), int(found[0]["all_causes"]), int(found[0]["all_letters"]))


def _cause(row: database.Row) -> Cause:
    first, last = database.moment(row["first_at"]), database.moment(row["last_at"])
    assert first is not None  # noqa: S101  (the column is never empty)
    assert last is not None  # noqa: S101
    return Cause(row["fingerprint"], row["letters"], first, last, row["newest"])


def _hours_ago() -> str:
    if database.on_postgresql():
        return "floor(extract(epoch FROM (%s::timestamptz - dead_at)) / 3600)"
    return "CAST((julianday(%s) - julianday(dead_at)) * 24 AS INTEGER)"


def _moment(now: datetime) -> Any:
    return now if database.on_postgresql() else database.parameter(now)
