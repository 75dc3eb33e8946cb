"""Causes: open dead letters by their fingerprint, how many, since when and how often.

Read from indexes, and no more of them than a page has time for, however many letters there are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from routing.ledger import bounded, database
from routing.ledger.tables import DeadLetter

SHOWN = 50
"""The largest; of the others it is told how many they are."""
MOST = 2_000
"""Causes that are looked at, besides those that the sample names."""
SAMPLE = 500
"""Letters from all over the table, by which the largest are known where counting each would take too long."""
STRIDE = 2_654_435_761
"""A prime far from any pattern in which letters come, so that a sample of them meets none."""
COUNTED = 10_000
"""Letters of a cause, and of one in an hour; of more it is told that they are more."""
BUDGET = 20_000
"""Entries of an index that a round of counting reads, for causes and for their hours."""
HOURS = 24
_OPEN = "state = 'open' AND fingerprint = one.fingerprint"
_OF_ONE = f"FROM routing_deadletter WHERE {_OPEN}"


@dataclass(frozen=True)
class Cause:
    """Open letters that are alike; with an empty fingerprint, those without one yet. ``newest``: a letter's number.

    ``count`` may be AtLeast. The times are those of the first and the last letter by their numbers.
    """

    fingerprint: str
    count: int
    first_at: datetime
    last_at: datetime
    newest: int


@dataclass(frozen=True)
class Causes:
    """``shown``: the largest first. ``count`` of causes and ``letters`` are of all, and may be AtLeast."""

    shown: tuple[Cause, ...] = ()
    count: int = 0
    letters: int = 0


def causes() -> Causes:
    names, seen = _fingerprints(MOST + 1), _sample()
    count = len(names)
    if count > MOST:
        names, count = list(dict.fromkeys([*seen, *names])), bounded.AtLeast(MOST)
    counts = dict(zip(names, _counts(names), strict=True))
    first = _largest(counts, seen)[:SHOWN]
    # So few are counted further than all could be.
    further = dict(zip(first, _counts(first), strict=True))
    shown = _with_ends({name: further[name] for name in _largest(further, seen)})
    letters = bounded.total((counts | further).values())
    return Causes(tuple(shown), count, bounded.AtLeast(letters) if isinstance(count, bounded.AtLeast) else letters)


def cause(fingerprint: str) -> Cause | None:
    """With all its letters counted. None where nothing of it is open."""
    (row,) = database.rows(
        "SELECT count(*) AS letters, min(dead_at) AS first_at, max(dead_at) AS last_at, max(id) AS newest "
        "FROM routing_deadletter WHERE state = 'open' AND fingerprint = %s",
        [fingerprint],
    )
    first, last = database.moment(row["first_at"]), database.moment(row["last_at"])
    return Cause(fingerprint, row["letters"], first, last, row["newest"]) if first and last else None


def open_letters(fingerprint: str, *, after: int = 0, until: int | None = None) -> "QuerySet[DeadLetter]":
    """In order of their numbers, by an index that has just them. ``after`` and ``until`` are numbers, too."""
    rows = DeadLetter.objects.using(database.using()).filter(fingerprint=fingerprint, state=DeadLetter.State.OPEN)
    rows = rows.filter(pk__gt=after) if after else rows
    return (rows.filter(pk__lte=until) if until is not None else rows).order_by("pk")


def hours(fingerprints: Sequence[str], *, now: datetime) -> dict[str, list[int]]:
    """How many were set aside in each of the last 24 hours, the oldest first, whatever was decided about them since."""
    ages = [(fingerprint, ago) for fingerprint in fingerprints for ago in reversed(range(HOURS))]
    found = bounded.counts(
        "fingerprint = one.fingerprint AND dead_at > one.since AND dead_at <= one.until",
        [{"fingerprint": fingerprint, **_hour(ago, now=now)} for fingerprint, ago in ages],
        kinds={"fingerprint": "text", "since": "timestamptz", "until": "timestamptz"},
        budget=BUDGET,
        most=COUNTED,
    )
    return {each: found[place * HOURS : (place + 1) * HOURS] for place, each in enumerate(fingerprints)}


def _hour(ago: int, *, now: datetime) -> dict[str, datetime]:
    # What was set aside while this was asked for is of the last hour, too.
    until = now - timedelta(hours=ago) if ago else now + timedelta(days=1)
    return {"since": now - timedelta(hours=ago + 1), "until": until}


def _fingerprints(most: int) -> list[str]:
    """From one to the next by the index, whatever lies between them."""
    following = "SELECT fingerprint FROM routing_deadletter WHERE state = 'open' {} ORDER BY fingerprint LIMIT 1"
    found = database.rows(
        f"""
        WITH RECURSIVE names (name) AS (
            SELECT ({following.format("")})
            UNION ALL SELECT ({following.format("AND fingerprint > name")}) FROM names WHERE name IS NOT NULL
        )
        SELECT name FROM names WHERE name IS NOT NULL LIMIT %s
        """,
        [most],
    )
    return [row["name"] for row in found]


def _counts(fingerprints: Sequence[str]) -> list[int]:
    return bounded.counts(
        _OPEN,
        [{"fingerprint": fingerprint} for fingerprint in fingerprints],
        kinds={"fingerprint": "text"},
        budget=BUDGET,
        most=COUNTED,
    )


def _sample() -> Counter[str]:
    """How often each fingerprint is met."""
    (ends,) = database.rows("SELECT min(id) AS low, max(id) AS high FROM routing_deadletter")
    if ends["low"] is None:
        return Counter()
    span = ends["high"] - ends["low"] + 1
    numbers = [{"number": ends["low"] + place * STRIDE % span} for place in range(min(SAMPLE, span))]
    met = "SELECT fingerprint FROM routing_deadletter WHERE id = one.number AND state = 'open'"
    return Counter(name for name in bounded.of_each(met, numbers, kinds={"number": "bigint"}) if name is not None)


def _largest(counts: Mapping[str, int], seen: Counter[str]) -> list[str]:
    """First by what was counted, and where counting stopped by the sample."""
    return sorted(counts, key=lambda name: (counts[name], seen[name]), reverse=True)


def _with_ends(counts: Mapping[str, int]) -> Iterator[Cause]:
    """Without those that somebody has decided about just now."""
    newest = _of_each(f"SELECT id {_OF_ONE} ORDER BY fingerprint DESC, id DESC LIMIT 1", list(counts))
    first = _of_each(f"SELECT dead_at {_OF_ONE} ORDER BY fingerprint, id LIMIT 1", list(newest))
    letters = DeadLetter.objects.using(database.using()).filter(pk__in=newest.values())
    last = dict(letters.values_list("pk", "dead_at"))
    for name, number in newest.items():
        first_at = database.moment(first.get(name))
        if first_at is not None:
            yield Cause(name, counts[name], first_at, last.get(number, first_at), number)


def _of_each(query: str, fingerprints: Sequence[str]) -> dict[str, Any]:
    of = [{"fingerprint": fingerprint} for fingerprint in fingerprints]
    found = bounded.of_each(query, of, kinds={"fingerprint": "text"})
    return {name: told for name, told in zip(fingerprints, found, strict=True) if told is not None}
