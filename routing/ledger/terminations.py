"""Terminations: cancelled tasks whose bodies are at work, and are to be ended by the worker that runs them.

Written together with the outcome REVOKED, so that no broadcast has to arrive. The worker looks for it every second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from routing.ledger import database, tables

Answer = tables.Termination.Answer
KEPT_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Termination:
    """``pid`` is the process that runs the task, a child of the worker or, in a pool of threads, itself."""

    id: int
    task_id: str
    pid: int | None
    signal: str


def ask(task_id: str, *, owner: int, pid: int | None, signal: str) -> None:
    """Within the transaction that records the outcome."""
    rows().create(task_id=task_id, owner=owner, pid=pid, signal=signal)


def of(owner: int) -> list[Termination]:
    """What this worker is asked for and has not answered."""
    found = rows().filter(owner=owner, answer="").order_by("pk").values("id", "task_id", "pid", "signal")
    return [Termination(**row) for row in found]


def answer(termination_id: int, answer: str) -> None:
    """Safe to call again."""
    rows().filter(pk=termination_id, answer="").update(answer=answer)


def answers(task_ids: Iterable[str]) -> dict[str, str]:
    """Task id → what its worker answered; empty while it has not."""
    return dict(rows().filter(task_id__in=list(task_ids)).order_by("pk").values_list("task_id", "answer"))


def prune() -> int:
    """Those of workers that are gone, and of yesterday."""
    return int(rows().filter(asked_at__lt=Now() - KEPT_FOR).delete()[0])


def rows() -> "QuerySet[tables.Termination]":
    return tables.Termination.objects.using(database.using())
