"""``python -m benchmarks.console.indexes``: what the indexes that serve the console cost the pipeline.

The same worker works on with them and without them, six seconds each in turn, on a table of 100,000 results. With
services of its own; exit status 1 if they cost more than a tenth of the throughput. The last line is JSON.
"""

import json
import os
import statistics
import sys
import time
from importlib import import_module

TABLE = "django_celery_results_taskresult"
TURNS, SECONDS = 7, 6
LIMIT = 0.1


def main() -> int:
    # Django's settings read the addresses of the services as they are imported.
    os.environ["TEST_DATABASE"] = "postgresql"
    from benchmarks.relay import services

    with services.running() as running:
        from benchmarks.cleaning import bench, rows
        from routing.ledger import database

        rows.make(100_000)
        database.execute(f"ANALYZE {TABLE}")
        made = import_module("routing.migrations.0013_result_search_indexes").MADE
        made = {**made, "routing_result_no_success": "(date_done) WHERE status <> 'SUCCESS'"}
        statements = {
            "with": [f"CREATE INDEX IF NOT EXISTS {name} ON {TABLE} {columns}" for name, columns in made.items()],
            "without": [f"DROP INDEX IF EXISTS {name}" for name in made],
        }
        rates: dict[str, list[float]] = {kind: [] for kind in statements}
        with bench.pipeline(running):
            for turn in range(TURNS):
                for kind in sorted(statements, reverse=turn % 2 == 1):
                    for statement in statements[kind]:
                        database.execute(statement)
                    stretch = bench.Stretches()
                    with stretch.one():
                        time.sleep(SECONDS)
                    rates[kind].append(stretch.rate)
                    sys.stdout.write(f"{kind:8} {stretch.rate:.0f} tasks/s\n")
    median = {kind: statistics.median(found) for kind, found in rates.items()}
    cost = 1 - median["with"] / median["without"]
    sys.stdout.write(
        json.dumps({**{kind: round(rate) for kind, rate in median.items()}, "cost": round(cost, 3)}) + "\n"
    )
    return int(cost > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
