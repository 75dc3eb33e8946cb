"""The last 24 hours one by one, by domain and by queue, for the start page."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from reporting.rollups import gathering, histogram
from reporting.rollups.reading import Sum, total, whole_hour
from routing.history import Day, PastDay
from routing.ledger import database

HOURS = 24


def past_day() -> PastDay:
    """One statement, and one for how far the counting went."""
    last = whole_hour(database.now())
    hours = [last - timedelta(hours=ago) for ago in reversed(range(HOURS))]
    # First, so that a result which is counted in between is at worst counted twice for a moment, and never missed.
    reached, until = gathering.reached()
    domains: dict[str, dict[datetime, Sum]] = defaultdict(lambda: defaultdict(Sum))
    queues: dict[str, dict[datetime, Sum]] = defaultdict(lambda: defaultdict(Sum))
    for domain, queue, hour, sum_ in _rows(hours[0]):
        domains[domain][hour].add(sum_)
        queues[queue][hour].add(sum_)
    return PastDay(hours, _days(domains, hours), _days(queues, hours), reached, until)


def _days(sums: Mapping[str, Mapping[datetime, Sum]], hours: Sequence[datetime]) -> dict[str, Day]:
    return {name: _day([found.get(hour, Sum()) for hour in hours]) for name, found in sums.items()}


def _day(sums: Sequence[Sum]) -> Day:
    whole = total(sums)
    return Day(
        finished=[sum_.count for sum_ in sums],
        failed=[sum_.failed for sum_ in sums],
        waits=[sum_.p95_wait for sum_ in sums],
        runs=[sum_.p95_run for sum_ in sums],
        p95_wait=whole.p95_wait,
        p95_run=whole.p95_run,
    )


def _rows(since: datetime) -> list[tuple[str, str, datetime, Sum]]:
    """One for each domain, queue, hour and outcome, with the histograms of all its tasks in one array."""
    together = "string_agg({}::text, ',')" if database.on_postgresql() else "group_concat({}, ',')"
    waits, runs = (f"'[' || {together.format(name)} || ']' AS {name}" for name in ("waits", "runs"))
    found = database.rows(
        f"SELECT domain, queue, hour, outcome, SUM(count) AS total, {waits}, {runs} "  # noqa: S608  (our own names)
        "FROM reporting_rollup WHERE hour >= %s GROUP BY domain, queue, hour, outcome",
        [database.parameter(since)],
    )
    return [(row["domain"], row["queue"], _hour(row), _sum(row)) for row in found]


def _hour(row: database.Row) -> datetime:
    found = database.moment(row["hour"])
    assert found is not None  # noqa: S101  (the column takes no NULL)
    return found


def _sum(row: database.Row) -> Sum:
    found = Sum(waits=histogram.merged(json.loads(row["waits"])), runs=histogram.merged(json.loads(row["runs"])))
    found.outcomes[row["outcome"]] = int(row["total"])
    return found
