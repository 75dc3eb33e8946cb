"""``python -m benchmarks.retention``: a million expired results of two million, removed beside a busy pipeline.

With services of its own, and a receiver of ``post_delete`` installed. Then stock ``celery.backend_cleanup`` on a copy
of the same rows, beside the same pipeline. Exit status 1 if ours missed a limit. The last line is JSON.
"""

import argparse
import os
import sys

LIMITS = {"seconds": 60.0, "longest_transaction_s": 1.0, "memory_mb": 150.0}
THROUGHPUT_KEPT = 0.8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retention", description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, help="results, half of them expired (2000000)")
    parser.add_argument("--stretch", type=int, default=4, help="seconds of each turn (4)")
    parser.add_argument("--no-stock", action="store_true", help="leave stock Celery out")
    parser.add_argument("--stock-receivers", action="store_true", help="give stock Celery a receiver, too")
    given = parser.parse_args()
    if given.rows < 1_000 or given.stretch < 1:
        parser.error("at least 1,000 rows, and 1 second")
    # Django's settings read the addresses of the services as they are imported.
    os.environ["TEST_DATABASE"] = "postgresql"
    from benchmarks.relay import services
    from benchmarks.relay.sheet import Sheet

    sheet = Sheet()
    with services.running() as running:
        from benchmarks.cleaning import bench

        figures = bench.measure(
            running,
            sheet,
            rows=given.rows,
            stretch=given.stretch,
            stock=not given.no_stock,
            stock_receivers=given.stock_receivers,
        )
    complaints = [
        f"{name} is {figures[name]}, and may be {limit:g}." for name, limit in LIMITS.items() if figures[name] > limit
    ]
    if figures["throughput_kept"] < THROUGHPUT_KEPT:
        complaints.append(f"The pipeline kept {figures['throughput_kept']:.0%} of its throughput, not 80 %.")
    for complaint in complaints:
        sheet.say(f"  {complaint}")
    for name, value in figures.items():
        sheet.note(name, value)
    sheet.as_json()
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
