"""What ended just now, from the newest results: how fast each queue is worked off, and what nobody has counted yet.

It reads a few thousand rows from the end of the table, whatever its size.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from celery import states

from routing.ledger import database

SAMPLE = 3_000
WINDOW = timedelta(minutes=5)


@dataclass(frozen=True)
class Newest:
    """``finished`` and ``failed``: those after the key that was asked for, by queue; at least as many where ``cut``."""

    per_minute: Mapping[str, float] = field(default_factory=dict)
    finished: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    cut: bool = False


def read(*, after: int) -> Newest:
    """Raises what the database raises."""
    now = database.now()
    since = database.parameter(now - WINDOW)
    found = database.rows(
        f"""
        SELECT {_queue_in_meta()} AS queue, COUNT(*) AS total, MIN(id) AS lowest, MIN(date_done) AS earliest,
            COUNT(*) FILTER (WHERE date_done >= %s) AS lately,
            COUNT(*) FILTER (WHERE id > %s) AS new,
            COUNT(*) FILTER (WHERE id > %s AND status = '{states.FAILURE}') AS failed
        FROM (SELECT id, meta, status, date_done FROM django_celery_results_taskresult ORDER BY id DESC LIMIT {SAMPLE})
            AS newest
        GROUP BY 1
        """,
        [since, after, after],
    )
    is_full = sum(row["total"] for row in found) >= SAMPLE
    minutes = _minutes(found, now) if is_full else WINDOW / timedelta(minutes=1)
    lowest = min((row["lowest"] for row in found), default=0)
    return Newest(
        per_minute=_by_queue(found, "lately", minutes),
        finished=Counter({row["queue"] or "": row["new"] for row in found}),
        failed=Counter({row["queue"] or "": row["failed"] for row in found}),
        cut=is_full and lowest > after + 1,
    )


def _by_queue(found: list[database.Row], name: str, minutes: float) -> dict[str, float]:
    return {row["queue"] or "": row[name] / minutes for row in found}


def _minutes(found: list[database.Row], now: datetime) -> float:
    """How long it took to come to so many, where that was less than the window."""
    moments = [moment for row in found if (moment := database.moment(row["earliest"]))]
    length = min(now - min(moments, default=now - WINDOW), WINDOW)
    return max(length / timedelta(minutes=1), 1 / 60)


def _queue_in_meta() -> str:
    """Whatever other programs wrote there, and be it no JSON, breaks nothing."""
    if database.on_postgresql():
        return """substring(meta from '"queue": ?"([^"\\\\]*)"')"""
    return "CASE WHEN json_valid(meta) AND json_type(meta, '$.queue') = 'text' THEN json_extract(meta, '$.queue') END"
