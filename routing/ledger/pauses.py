"""Paused queues: nothing of them is published or started, whoever restarts, until somebody resumes them.

A pause is a row. Relays and workers look for it about every second, and note in their own row once they keep to it.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from routing.ledger import database, processes, wake
from routing.ledger.tables import Process, QueuePause

LOOK_EVERY = 1.0


@dataclass(frozen=True)
class Unconfirmed:
    """A living process that has not said yet that it keeps to a pause, and how old its last beat is."""

    process: str
    name: str
    silent_for: timedelta

    def __str__(self) -> str:
        name = f"{self.name} ({self.process})" if self.name else self.process
        return f"{name}, last heard of {self.silent_for.total_seconds():.0f} s ago"


def pause(queue: str, *, by: str, reason: str) -> bool:
    """False if it is paused already: that pause stays as it is."""
    values = {"paused_at": Now(), "paused_by": by, "reason": reason, "resumed_at": None, "resumed_by": ""}
    with database.atomic():
        # The row first, and then a conditional change of it, so that of two at once one wins.
        _, is_new = _rows().get_or_create(queue=queue, defaults=values)
        return is_new or bool(_rows().filter(queue=queue, resumed_at__isnull=False).update(**values))


def resume(queue: str, *, by: str) -> bool:
    """False if it is not paused."""
    changed = _rows().filter(queue=queue, resumed_at=None).update(resumed_at=Now(), resumed_by=by)
    transaction.on_commit(wake.wake, using=database.using())
    return bool(changed)


def in_force() -> "QuerySet[QueuePause]":
    return _rows().filter(resumed_at=None)


def names() -> frozenset[str]:
    return frozenset(in_force().values_list("queue", flat=True))


def confirm(process_id: int, paused: Collection[str]) -> None:
    """The process publishes or starts nothing of these queues from now on."""
    processes.live_by_id(process_id).update(paused=json.dumps(sorted(paused)))


def unconfirmed(queue: str) -> list[Unconfirmed]:
    """Those of them that may still publish or start something of it."""
    return [
        Unconfirmed(str(row), row.name, _age(row.beat_at, row.now))
        for row in concerned(queue)
        if queue not in json.loads(row.paused)
    ]


def concerned(queue: str) -> list[Any]:
    """The living relays, and the living workers of the queue."""
    living = processes.rows().filter(dead_at=None).exclude(role=Process.Role.BEAT).annotate(now=Now())
    return [row for row in living if row.role == Process.Role.RELAY or queue in json.loads(row.queues)]


def _age(beat_at: datetime, now: datetime) -> timedelta:
    return max(now - beat_at, timedelta())


def _rows() -> "QuerySet[QueuePause]":
    return QueuePause.objects.using(database.using())
