"""A fortnight of results, made up by chance from a seed, and what they add up to without roll-ups or SQL."""

import json
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from celery import states
from django.db import connection

from routing.ledger import database

DOMAINS = {"notifications": "notifications", "reporting": "reporting", "legacy": ""}
"""The first word of a task's name → its domain."""
TASKS = ("notifications.deliver", "notifications.send_email", "reporting.weekly", "legacy.import")
OUTCOMES = (states.SUCCESS,) * 17 + (states.FAILURE, states.REVOKED, "IGNORED")


@dataclass(frozen=True)
class Made:
    """One result. ``waited`` counts from when it was due."""

    id: str
    task: str
    domain: str
    status: str
    attempt: int
    created_at: datetime
    due_at: datetime | None
    started_at: datetime
    done_at: datetime

    @property
    def waited(self) -> timedelta:
        return self.started_at - (self.due_at or self.created_at)

    @property
    def ran(self) -> timedelta:
        return self.done_at - self.started_at


def make(count: int, *, begin: datetime, end: datetime, seed: int = 46) -> list[Made]:
    chance = random.Random(seed)  # noqa: S311
    return [_one(chance, begin, end) for _ in range(count)]


def _one(chance: random.Random, begin: datetime, end: datetime) -> Made:
    task = chance.choice(TASKS)
    done_at = begin + (end - begin) * chance.random()
    started_at = done_at - timedelta(seconds=chance.lognormvariate(0, 2))
    could_at = started_at - timedelta(seconds=chance.lognormvariate(1, 1.5))
    delayed = chance.random() < 0.1
    return Made(
        id=str(UUID(int=chance.getrandbits(128))),
        task=task,
        domain=DOMAINS[task.partition(".")[0]],
        status=chance.choice(OUTCOMES),
        attempt=chance.choice((1, 1, 1, 2, 4)),
        created_at=could_at - timedelta(hours=5) if delayed else could_at,
        due_at=could_at if delayed else None,
        started_at=started_at,
        done_at=done_at,
    )


def store(made: Iterable[Made]) -> None:
    """As the settlement writes them; a domain's tasks that none claims are of another program, and say none."""
    moment = database.parameter
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO django_celery_results_taskresult (task_id, task_name, status, meta, content_type, "
            "content_encoding, date_created, date_started, date_done) VALUES (%s, %s, %s, %s, '', '', %s, %s, %s)",
            [
                (row.id, row.task, row.status, _meta(row), *map(moment, (row.created_at, row.started_at, row.done_at)))
                for row in made
            ],
        )


def _meta(row: Made) -> str:
    known = {"domain": row.domain, "queue": row.domain} if row.domain else {}
    due = {"due_at": row.due_at.isoformat()} if row.due_at else {}
    return json.dumps({**known, "attempt": row.attempt, "runs": 1, **due})


def outcomes(made: Iterable[Made]) -> Counter[str]:
    return Counter(row.status for row in made)


def p95(lengths: Iterable[timedelta]) -> timedelta:
    """The smallest that 95 of 100 do not exceed."""
    ordered = sorted(lengths)
    return ordered[-(-len(ordered) * 95 // 100) - 1]
