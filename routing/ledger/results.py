"""What a result row tells beyond its columns."""

import json
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django_celery_results.models import TaskResult

from routing.ledger.enqueue import OUTCOMES as RECORDED

__all__ = ["RECORDED", "REMOVED_AT", "payload_removed_at", "read_meta"]

REMOVED_AT = "payload_removed_at"
"""In the ``meta`` of a result whose payload went before its outcome (routing/ledger/retention)."""


def read_meta(row: TaskResult) -> dict[str, Any]:
    """Queue, lane, attempts, runs and the like of a row; empty where another program wrote something else."""
    try:
        meta = json.loads(row.meta or "{}")
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) else {}


def payload_removed_at(row: TaskResult) -> datetime | None:
    """When retention took its arguments, and its result if it was a success; None while they are there."""
    moment = read_meta(row).get(REMOVED_AT)
    try:
        return parse_datetime(moment) if isinstance(moment, str) else None
    except ValueError:
        return None
