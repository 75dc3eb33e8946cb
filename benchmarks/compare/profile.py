"""``python -m benchmarks.compare.profile``: where the time of one of our tasks goes, in each process.

One backlog is worked off; then statements, tables, write-ahead log and samples of the Python processes are shown.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.compare.__main__ import prepare, stop_in_good_order
from benchmarks.compare.contenders import CEILING, DOCUMENTED, KEPT, OURS
from benchmarks.compare.rounds import Setting, Size, Turn
from benchmarks.compare.services import running

OPTIONS = ("shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track_planning=on", "track_io_timing=on")
STATEMENTS = """
    SELECT calls, total_plan_time, total_exec_time, wal_bytes, wal_records, wal_fpi,
        shared_blks_hit + shared_blks_read, shared_blks_dirtied, regexp_replace(left(query, 160), '\\s+', ' ', 'g')
    FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY total_exec_time + total_plan_time DESC LIMIT 14
"""
TABLES = """
    SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del, seq_scan, idx_scan, autovacuum_count
    FROM pg_stat_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 1
"""
INDEXES = """
    SELECT relname, indexrelname, idx_scan, pg_relation_size(indexrelid) FROM pg_stat_user_indexes
    WHERE relname LIKE 'routing_%' OR relname = 'django_celery_results_taskresult' ORDER BY 1, 2
"""
WAL = "SELECT wal_records, wal_fpi, wal_bytes, wal_write, wal_sync FROM pg_stat_wal"


class Profile(Turn):
    """A turn that is a backlog and nothing else, with a look at PostgreSQL."""

    @contextmanager
    def _accounted(self, count: int) -> Iterator[None]:
        url = self._setting.services.database_url(self.contender.database)
        with psycopg.connect(url, autocommit=True) as database:
            # Both tell what ended before: the sessions report when they are idle.
            database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            database.execute("SELECT pg_stat_statements_reset(), pg_stat_reset(), pg_stat_reset_shared('wal')")
            with super()._accounted(count):
                yield
            _show_database(database, count)

    def _relay_command(self) -> list[str]:
        python, *rest = super()._relay_command()
        sampling = ["-m", "benchmarks.compare.sampling"] if "SAMPLES" in self._environment else []
        return [python, *sampling, *rest]

    def _worker_command(self) -> list[str]:
        command = super()._worker_command()
        if "SAMPLES" not in self._environment:
            return command
        # The last one counts, and a worker without results of stock Celery has none.
        given = [option.partition("=")[2] for option in command if option.startswith("--include=")]
        return [*command, f"--include={','.join([*given, 'benchmarks.compare.sampling'])}"]


def _show_database(database: psycopg.Connection[Any], count: int) -> None:
    say("\nPostgreSQL, per task")
    for calls, plan, run, wal, records, full, blocks, dirtied, query in database.execute(STATEMENTS):
        say(
            f"{calls / count:6.3f} calls  plan {plan / count * 1e3:4.0f} us  exec {run / count * 1e3:4.0f} us  "
            f"wal {wal / count:5.0f} B {records / count:4.1f} records {full / count:5.3f} images  "
            f"blocks {blocks / count:5.1f} dirtied {dirtied / count:4.2f}  {query}"
        )
    say("\nTables: inserted, updated, of these HOT, deleted, sequential and index scans, vacuums")
    for name, *figures in database.execute(TABLES):
        say(f"{name:42}" + "".join(f"{figure:>9,}" for figure in figures))
    say("\nIndexes: scans, bytes")
    for table, name, scans, size in database.execute(INDEXES):
        say(f"{table:40} {name:60} {scans:>9,} {size:>12,}")
    written, images, size, writes, syncs = database.execute(WAL).fetchone() or (0,) * 5
    say(
        f"\nWAL per task: {size / count:.0f} B, {written / count:.1f} records, {images / count:.3f} images; "
        f"{writes / count:.2f} writes, {syncs / count:.2f} syncs"
    )


LOOPS = {
    "main": "kombu/asynchronous/hub.py:create_loop",
    "child": "site-packages/billiard/pool.py:workloop",
    "relay": "routing/broker/relay.py:run",
}


def _show_samples(folder: Path, least: float) -> None:
    """Of each kind of process: which functions were running, and which were running or had called what ran."""
    for role, loop in LOOPS.items():
        own, within, lines = Counter[str](), Counter[str](), Counter[str]()
        for places, seen in _stacks(folder, role):
            functions = [place.rpartition(":")[0] for place in places]
            if loop in functions:
                own[functions[-1]] += seen
                within.update(dict.fromkeys(functions[functions.index(loop) :], seen))
                lines[places[-1]] += seen
        total = own.total() or 1
        say(f"\n{role}: {total} samples; share of itself, and with what it called")
        for name, seen in within.most_common():
            if seen >= least * total:
                say(f"{own[name] / total:7.1%} {seen / total:7.1%}  {name}")
        say("  the busiest lines:")
        for name, seen in lines.most_common(15):
            say(f"{seen / total:7.1%}  {name}")


def _stacks(folder: Path, role: str) -> Iterator[tuple[list[str], int]]:
    """Each stack, outermost first, and how often it was seen."""
    for path in folder.glob(f"{role}.*.stacks"):
        for line in path.read_text().splitlines():
            stack, _, seen = line.rpartition(" ")
            yield stack.split(";"), int(seen)


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.profile", description=__doc__)
    parser.add_argument("--tasks", type=int, default=6_000)
    parser.add_argument("--prefetch", type=int, default=4)
    parser.add_argument("--of", choices=["cpu", "wall", "none"], default="cpu", help="what the samples count")
    parser.add_argument("--contender", choices=["ours", "documented", "kept", "ceiling"], default="ours")
    parser.add_argument("--least", type=float, default=0.015, help="the smallest share that is shown")
    parser.add_argument("--keep", type=Path, help="a folder for the samples, one stack a line")
    options = parser.parse_args()
    stop_in_good_order()
    with tempfile.TemporaryDirectory(prefix="taskyard-bench-") as name:
        folder = Path(name)
        samples = options.keep or folder / "samples"
        samples.mkdir(exist_ok=True)
        chosen = {"ours": OURS, "documented": DOCUMENTED, "kept": KEPT, "ceiling": CEILING}[options.contender]
        sampled = {} if options.of == "none" else {"SAMPLES": str(samples), "SAMPLES_OF": options.of}
        contender = replace(chosen, backlog=options.tasks, variables={**chosen.variables, **sampled})
        with running(folder, options=OPTIONS) as services:
            prepare(services, folder)
            setting = Setting(services=services, folder=folder, size=Size(slices=1), prefetch=options.prefetch)
            turn = Profile(contender, setting, seed=0)
            with ExitStack() as stack:
                turn.open(stack)
                turn.start(stack)
                turn.work_off()
        say("\n" + "\n".join(f"{name:20} {value:,.3f}" for name, value in turn.figures.items()))
        _show_samples(samples, options.least)


if __name__ == "__main__":
    main()
