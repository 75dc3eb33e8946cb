"""A worker in the test's own process: Celery's tracer and our claim and settlement, without broker and pool."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django_celery_results.models import TaskResult

from routing.ledger import processes
from routing.ledger.enqueue import REPLACED
from routing.ledger.tables import Message, Process
from routing.testing.draining import deliver
from routing.worker import incarnation

__all__ = ["deliver", "drain", "outcomes", "worker"]


@contextmanager
def worker() -> Iterator[int]:
    """This process owns what it claims."""
    owner = processes.register(Process.Role.WORKER, "inline")
    incarnation.become(owner)
    try:
        yield owner
    finally:
        incarnation.become(None)


def drain(*, runs: int = 100) -> None:
    """Run what is in flight, due or not, oldest first, until nothing is left that can run."""
    for _ in range(runs):
        waiting = Message.objects.filter(owner=None).exclude(state=REPLACED).order_by("created_at")
        if (message := waiting.first()) is None:
            return
        deliver(message)
    raise AssertionError(f"After {runs} runs there still are {list(waiting.values_list('task', 'state', 'error'))}")


def outcomes() -> dict[str, tuple[str, Any]]:
    """Task id → status and result."""
    return {row.task_id: (row.status, json.loads(row.result or "null")) for row in TaskResult.objects.all()}
