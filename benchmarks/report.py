"""``python -m benchmarks.report``: the weekly report over ten million results, from their roll-ups, in under a second.

The roll-ups of two such weeks are made by SQL; the results themselves need not be there, for the report reads none. In
PostgreSQL of its own. Exit status 1 if the median of the builds is over the limit. The last line is JSON.
"""

import argparse
import os
import statistics
import sys
import time
from typing import Any

LIMIT = 1.0
"""Seconds."""
TASKS, BUCKETS = 20, 40
"""Different tasks, and buckets of each of their histograms."""
ROLLUPS = """
    INSERT INTO reporting_rollup (hour, domain, queue, task, outcome, count, retries, waited, ran, waits, runs)
    SELECT %s::timestamptz + make_interval(hours => hour), domain, domain, domain || '.task_' || task, outcome,
        share, 0, 0, 0, histogram, histogram
    FROM generate_series(0, 335) AS hour,
        unnest(ARRAY['notifications', 'reporting', 'maintenance', 'billing']) AS domain,
        generate_series(1, %s / 4) AS task,
        unnest(ARRAY['SUCCESS', 'FAILURE']) AS outcome,
        LATERAL (SELECT CASE outcome WHEN 'SUCCESS' THEN %s ELSE 1 END AS share) AS counts,
        LATERAL (
            SELECT jsonb_object_agg(bucket::text, greatest(share / %s, 1)) AS histogram
            FROM generate_series(100, 99 + least(share, %s)) AS bucket
        ) AS histograms
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=int, default=10_000_000, help="results a week (10000000)")
    parser.add_argument("--rounds", type=int, default=5, help="times that it is built (5)")
    given = parser.parse_args()
    if given.results < 1_000_000 or given.rounds < 1:
        parser.error("at least 1,000,000 results, and 1 round")
    # Django's settings read the addresses of the services as they are imported.
    os.environ["TEST_DATABASE"] = "postgresql"
    from benchmarks.relay import services
    from benchmarks.relay.sheet import Sheet

    sheet = Sheet()
    with services.running():
        figures = _measure(sheet, results=given.results, rounds=given.rounds)
    for name, value in figures.items():
        sheet.note(name, value)
    is_slow = figures["median_s"] > LIMIT
    if is_slow:
        sheet.say(f"  The report took {figures['median_s']:.2f} s, and may take {LIMIT:g} s.")
    sheet.as_json()
    return 1 if is_slow else 0


def _measure(sheet: Any, *, results: int, rounds: int) -> dict[str, Any]:
    from reporting.forms import forms
    from reporting.reports import named
    from reporting.rollups.tables import RollUp
    from reporting.weeks import Week
    from routing.ledger import database

    week, report = Week(2026, 46), named("weekly")
    each = results // (168 * TASKS)
    begin = week.previous().starts_at
    database.execute(ROLLUPS, [begin, TASKS, each, BUCKETS, BUCKETS])
    database.execute("ANALYZE reporting_rollup", [])
    sheet.say(f"Roll-ups of two weeks: {(rows := RollUp.objects.count()):,} rows for {results:,} results a week")
    # The first time, the pages that figures lead to are looked up, which takes longer than all the rest.
    document = report.build(week, now=week.ends_at)
    took, worked = [], time.process_time()
    for _ in range(rounds):
        began = time.monotonic()
        document = report.build(week, now=week.ends_at)
        took.append(time.monotonic() - began)
    worked = (time.process_time() - worked) / rounds
    began = time.monotonic()
    sizes = {form.name: len(form.render(document)) for form in forms().values()}
    rendered = time.monotonic() - began
    sheet.say(f"{document.verdict} Built in {statistics.median(took):.2f} s, all forms in {rendered:.2f} s")
    return {
        "results": results,
        "rollups": rows,
        "median_s": round(statistics.median(took), 3),
        "processor_s": round(worked, 3),
        "longest_s": round(max(took), 3),
        "forms_s": round(rendered, 3),
        "bytes": sizes,
    }


if __name__ == "__main__":
    sys.exit(main())
