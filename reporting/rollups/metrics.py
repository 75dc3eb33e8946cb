"""What the roll-ups' totals tell Prometheus: outcomes, how long tasks waited and ran, how far the counting is behind.

It reads a row for each domain, queue and outcome, however many results there are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from reporting.rollups import gathering, histogram
from reporting.rollups.histogram import Histogram
from reporting.rollups.tables import RollUpTotal
from routing.ledger import database

EDGES = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)
"""Seconds. What took up to a tenth less than an edge may count above it, and never what took longer below it."""
_SECOND = 1_000_000


def families() -> Iterator[Any]:
    totals = list(RollUpTotal.objects.using(database.using()).order_by("domain", "queue", "outcome"))
    outcomes = CounterMetricFamily(
        "taskyard_tasks_outcomes",
        "Tasks by how they ended, as far as roll-ups have counted.",
        labels=["domain", "outcome"],
    )
    for (domain, outcome), count in sorted(_counts(totals).items()):
        outcomes.add_metric((domain, outcome.lower()), count)
    yield outcomes
    yield _durations("wait", "How long tasks waited for their first start, from when they were due.", totals)
    yield _durations("run", "How long tasks ran that succeeded or failed.", totals)
    lag = GaugeMetricFamily("taskyard_rollup_lag_seconds", "How old the newest result is that may not be counted yet.")
    if until := gathering.complete_until():
        lag.add_metric((), max((database.now() - until).total_seconds(), 0.0))
    yield lag


def _counts(totals: Iterable[RollUpTotal]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in totals:
        counts[row.domain, row.outcome] += row.count
    return counts


def _durations(verb: str, text: str, totals: Iterable[RollUpTotal]) -> HistogramMetricFamily:
    found: dict[str, tuple[Histogram, int]] = {}
    for row in totals:
        before, microseconds = found.get(row.queue, (Counter(), 0))
        stored, lasted = (row.waits, row.waited) if verb == "wait" else (row.runs, row.ran)
        found[row.queue] = before + histogram.merged([stored]), microseconds + lasted
    family = HistogramMetricFamily(f"taskyard_task_{verb}_seconds", text, labels=["queue"])
    for queue, (durations, microseconds) in sorted(found.items()):
        family.add_metric((queue,), buckets=_buckets(durations), sum_value=microseconds / _SECOND)
    return family


def _buckets(durations: Histogram) -> list[tuple[str, float]]:
    """For each edge, how many took no longer; a bucket of ours counts where it begins below."""
    found = [
        (
            str(edge),
            float(sum(count for index, count in durations.items() if index < histogram.bucket(round(edge * _SECOND)))),
        )
        for edge in EDGES
    ]
    return [*found, ("+Inf", float(durations.total()))]
