"""Terminations: what is still to be done about tasks that were cancelled while they ran.

To end a body is ordered together with the outcome REVOKED, so that no broadcast has to arrive: its worker looks every
second. What is only not to run again, is looked for by relays.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from routing.ledger import database, processes, tables

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
    """What this worker is asked to end and has not answered."""
    found = (
        rows().filter(owner=owner, answer="").exclude(signal="").order_by("pk").values("id", "task_id", "pid", "signal")
    )
    return [Termination(**row) for row in found]


def forbid(task_id: str, *, owner: int, by: str) -> None:
    """Let its run count, and no other follow."""
    rows().create(task_id=task_id, owner=owner, asked_by=by)


def forbidden() -> list[tuple[int, str, str]]:
    """Those that relays are to look after: key, task id, and who asked."""
    return list(rows().filter(signal="", answer="").order_by("pk").values_list("pk", "task_id", "asked_by"))


def answer(termination_id: int, answer: str) -> None:
    """Safe to call again."""
    rows().filter(pk=termination_id, answer="").update(answer=answer)


def answers(task_ids: Iterable[str]) -> dict[str, str]:
    """Task id → what its worker answered; empty while it has not. One that is dead has taken its processes with it."""
    asked = rows().filter(task_id__in=list(task_ids)).exclude(signal="").annotate(lives=_living())
    return {row.task_id: row.answer or ("" if row.lives else Answer.ENDED.value) for row in asked.order_by("pk")}


def old(now: datetime) -> "QuerySet[tables.Termination]":
    """Those that are answered, or that nobody lives to answer."""
    return rows().filter(Q(asked_at__lt=now - KEPT_FOR) & (~Q(answer="") | ~_living()))


def _living() -> Exists:
    """Whether its worker lives, as far as is known."""
    return Exists(processes.rows().filter(pk=OuterRef("owner"), dead_at=None))


def rows() -> "QuerySet[tables.Termination]":
    return tables.Termination.objects.using(database.using())
