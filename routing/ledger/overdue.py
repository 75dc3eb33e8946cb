"""Tasks that a living process has been running for longer than their hard time limit allows."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import current_app

from routing.domains import registry
from routing.ledger import database

GRACE = timedelta(minutes=5)
AT_MOST = 1_000
"""Looked at, beginning with those that have run longest."""


@dataclass(frozen=True)
class Overdue:
    """``since`` is when it should have been ended; ``worker`` says who runs it, and ``pid`` is that process's."""

    task_id: str
    since: datetime
    worker: str
    host: str
    pid: int


def overdue_tasks(now: datetime) -> list[Overdue]:
    return [
        Overdue(row["id"], started_at + limit, row["name"], row["host"], row["pid"])
        for row in _candidates(now)
        if (started_at := database.moment(row["started_at"]))
        and (limit := _limit(row, at_most=now - started_at))
        and started_at + limit < now - GRACE
    ]


def _candidates(now: datetime) -> list[database.Row]:
    # A limit may travel with the message, so which are too late is told from their headers. What has a shorter one than
    # any that is declared is found a little later.
    return database.rows(
        f"""
        SELECT m.id, m.task, m.headers, m.started_at, p.name, p.host, p.pid
        FROM routing_message m JOIN routing_process p ON p.id = m.owner
        WHERE p.dead_at IS NULL AND m.started_at < %s ORDER BY m.started_at LIMIT {AT_MOST}
        """,
        [database.parameter(now - GRACE - timedelta(seconds=min(_declared_limits(), default=0.0)))],
    )


def _limit(row: database.Row, *, at_most: timedelta) -> timedelta | None:
    """As the worker applies it: the call's, the task's, the domain's. None where there is none, or a longer one."""
    seconds = _of_message(row["headers"]) or _of_task(row["task"])
    return timedelta(seconds=seconds) if seconds and seconds < at_most.total_seconds() else None


def _of_message(headers: str) -> float | None:
    match json.loads(headers):
        case {"timelimit": [int() | float() as hard, *_]}:
            return float(hard)
    return None


def _of_task(name: str) -> float | None:
    task: Any = current_app.tasks.get(name)
    domain = registry().of_task(name)
    return getattr(task, "time_limit", None) or (domain.time_limit.total_seconds() if domain else None)


def _declared_limits() -> Iterator[float]:
    yield from (domain.time_limit.total_seconds() for domain in registry())
    yield from (task.time_limit for task in current_app.tasks.values() if task.time_limit)
