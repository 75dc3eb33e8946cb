"""What a result row tells beyond its columns."""

import json
from typing import Any

from django_celery_results.models import TaskResult

from routing.ledger.enqueue import OUTCOMES as RECORDED

__all__ = ["RECORDED", "read_meta"]


def read_meta(row: TaskResult) -> dict[str, Any]:
    """Queue, lane, attempts, runs and the like of a row; empty where another program wrote something else."""
    try:
        meta = json.loads(row.meta or "{}")
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) else {}
