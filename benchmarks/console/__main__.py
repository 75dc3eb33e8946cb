"""``python -m benchmarks.console --rows 10000000``: the console's pages of results beside django-celery-results' own.

With services of its own. The table is made by SQL, and pages are asked for through Django's test client, each in
another order in every round. Exit status 1 if a page that indexes serve took longer than 300 ms (p95). The last line
is JSON.
"""

import argparse
import os
import sys

LIMIT_MS = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="results (10000000)")
    parser.add_argument("--rounds", type=int, default=20, help="how often each page is asked for (20)")
    parser.add_argument(
        "--stock-rounds", type=int, default=3, help="how often each of the stock admin's (3; 0 for none)"
    )
    given = parser.parse_args()
    if given.rows < 10_000 or given.rounds < 2 or given.stock_rounds not in (0, *range(2, 1_000)):
        parser.error("at least 10,000 rows, and 2 rounds (of the stock admin's, none or 2)")
    # Django's settings read the addresses of the services as they are imported.
    os.environ["TEST_DATABASE"] = "postgresql"
    from benchmarks.relay import services
    from benchmarks.relay.sheet import Sheet

    sheet = Sheet()
    with services.running():
        from benchmarks.console import bench

        figures = bench.measure(sheet, rows=given.rows, rounds=given.rounds, stock_rounds=given.stock_rounds)
    for name, value in figures.items():
        sheet.note(name, value)
    slow = figures["worst_p95_ms"] > LIMIT_MS
    if slow:
        sheet.say(f"  A page took {figures['worst_p95_ms']} ms (p95), and may take {LIMIT_MS}.")
    sheet.as_json()
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
