"""Tasks as the ledger keeps them, finished and in flight, at whatever time a test needs."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from celery import states
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.domains import registry
from routing.ledger.settle import Outcome
from routing.ledger.tables import Message

SUCCESS = Outcome(
    status=states.SUCCESS,
    result="null",
    traceback=None,
    meta='{"children": []}',
    args="[]",
    kwargs="{}",
    worker=None,
    periodic_task_name=None,
)
"""What is recorded of a task that has nothing to tell; for others, ``dataclasses.replace``."""


def store(
    task: str | None = "notifications.send_email",
    *,
    done_at: datetime,
    status: str = states.SUCCESS,
    took: timedelta | None = timedelta(seconds=1),
    created_at: datetime | None = None,
    domain: str | None = None,
    queue: str | None = None,
) -> TaskResult:
    """One result. ``took=None`` for a task that never started; ``domain`` and ``queue`` as settled from the ledger."""
    meta = json.dumps({name: value for name, value in (("domain", domain), ("queue", queue)) if value})
    row = TaskResult.objects.create(task_id=str(uuid4()), task_name=task, status=status, meta=meta)
    # Django fills in these two times itself, unless an UPDATE does.
    TaskResult.objects.filter(pk=row.pk).update(
        date_created=created_at or done_at - (took or timedelta()),
        date_started=done_at - took if took is not None else None,
        date_done=done_at,
    )
    return row


def in_flight(task: str = "notifications.send_email", *, created_at: datetime | None = None, **fields: Any) -> Message:
    """One task that has no outcome yet, by default waiting since just now in its domain's own queue."""
    domain = registry().of_task(task)
    name = domain.name if domain else ""
    created_at = created_at or timezone.now()
    arguments = fields.pop("args", []), fields.pop("kwargs", {}), fields.pop("embed", {})
    known = {
        "id": str(uuid4()),
        "domain": name,
        "queue": name,
        "headers": json.dumps({"task": task, "lang": "py"}),
        "properties": "{}",
        "body": json.dumps(arguments),
        "state": states.PENDING,
        "epoch": 1,
        "attempt": 1,
        "runs": 0,
        "at_most_once": False,
        "due_at": created_at,
        "created_at": created_at,
    }
    return Message.objects.create(task=task, **{**known, **fields})
