"""A task's result row, from enqueueing to its one outcome.

Each function is one conditional statement or one short transaction, and says whether it won.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery import states
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_celery_results.models import TaskResult

RECORDED = (states.SUCCESS, states.FAILURE, states.REVOKED)
"""An outcome in one of these states never changes."""

_OPEN = ~Q(status__in=RECORDED)


@dataclass(frozen=True)
class Claim:
    """A worker's leave to run a task's body; ``runs`` counts the bodies started for this message.

    A retry, and a task that replaces this one under its id (``self.replace``), begin to count anew.
    """

    runs: int


def record_enqueued(task_id: str, *, meta: dict[str, Any], **fields: Any) -> None:
    """Insert the PENDING row, unless the id is known already, as it is when a task retries. Safe to call again."""
    row = TaskResult(task_id=task_id, status=states.PENDING, meta=json.dumps(meta), **fields)
    # In one statement, which leaves the caller's transaction usable where the id is known.
    TaskResult.objects.bulk_create([row], ignore_conflicts=True)


def withdraw(task_id: str, *, since: datetime) -> bool:
    """Take back the row of a task whose message was not published.

    An older row under the same id is another call's, whose message may well be in the queue.
    """
    deleted, _ = TaskResult.objects.filter(task_id=task_id, status=states.PENDING, date_created__gte=since).delete()
    return bool(deleted)


def claim(task_id: str, *, worker: str, meta: dict[str, Any], **fields: Any) -> Claim | None:
    """Mark a task as started. None if its outcome is recorded already: a redelivered message must not run again.

    A worker that dies after this commit leaves the row STARTED; the broker redelivers, and the next claim counts on.
    """
    with transaction.atomic():
        row, created = TaskResult.objects.select_for_update().get_or_create(
            task_id=task_id,
            defaults={"status": states.STARTED, "worker": worker, "meta": json.dumps(meta), **fields},
        )
        if row.status in RECORDED and not created:
            return None
        before = read_meta(row)
        again = all(before.get(key) == meta.get(key) for key in ("attempt", "replaced"))
        runs = before.get("runs", 0) + 1 if again else 1
        TaskResult.objects.filter(pk=row.pk).update(
            status=states.STARTED,
            worker=worker,
            date_started=timezone.now(),
            meta=json.dumps({**meta, "runs": runs}),
            **fields,
        )
    return Claim(runs)


def store(task_id: str, *, status: str, meta: dict[str, Any], **fields: Any) -> bool:
    """Write a state. False if an outcome is recorded already: the later one is discarded."""
    with transaction.atomic():
        row, created = TaskResult.objects.select_for_update().get_or_create(
            task_id=task_id, defaults={"status": status, "meta": json.dumps(meta), **fields}
        )
        if created:
            return True
        won = TaskResult.objects.filter(_OPEN, pk=row.pk).update(
            status=status, date_done=timezone.now(), meta=json.dumps({**read_meta(row), **meta}), **fields
        )
    return bool(won)


def read_meta(row: TaskResult) -> dict[str, Any]:
    """Queue, lane, attempts, runs and the like of a row; empty where another program wrote something else."""
    try:
        meta = json.loads(row.meta or "{}")
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) else {}
