"""What a result row tells beyond its columns."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django_celery_results.models import TaskResult

from routing.ledger import database
from routing.ledger.enqueue import OUTCOMES as RECORDED

__all__ = ["RECORDED", "REMOVED_AT", "attempt", "payload_removed_at", "read_meta", "task_names", "unusual_states"]

REMOVED_AT = "payload_removed_at"
"""In the ``meta`` of a result whose payload went before its outcome (routing/ledger/retention)."""


def read_meta(row: TaskResult) -> dict[str, Any]:
    """Queue, lane, attempts, runs and the like of a row; empty where another program wrote something else."""
    try:
        meta = json.loads(row.meta or "{}")
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) else {}


def attempt(meta: Mapping[str, Any]) -> int:
    """Which of a task's attempts its outcome is of; 1 where nobody has counted them."""
    number = meta.get("attempt")
    return number if isinstance(number, int) and number > 0 else 1


def payload_removed_at(row: TaskResult) -> datetime | None:
    """When retention took its arguments, and its result if it was a success; None while they are there."""
    moment = read_meta(row).get(REMOVED_AT)
    try:
        return parse_datetime(moment) if isinstance(moment, str) else None
    except ValueError:
        return None


def task_names() -> list[str]:
    """What the tasks of all results are called."""
    return _values("task_name", "TRUE")


def has_nameless() -> bool:
    """Whether any result does not say of which task it is."""
    # In the order of the index, so that it is read by it, whatever the statistics say.
    nameless = "SELECT id FROM django_celery_results_taskresult WHERE task_name IS NULL ORDER BY date_created LIMIT 1"
    return bool(database.rows(nameless))


def unusual_states() -> list[str]:
    """The states of all results but successes."""
    return _values("status", "status <> 'SUCCESS'")


def _values(column: str, which: str) -> list[str]:
    # DISTINCT would read every row; this jumps from one value to the next in the index.
    rows = database.rows(
        f"""
        WITH RECURSIVE found(value) AS (
            SELECT MIN({column}) FROM django_celery_results_taskresult WHERE {which}
            UNION ALL
            SELECT (SELECT MIN({column}) FROM django_celery_results_taskresult WHERE {which} AND {column} > found.value)
            FROM found WHERE found.value IS NOT NULL
        )
        SELECT value FROM found WHERE value IS NOT NULL
        """
    )
    return [row["value"] for row in rows]
