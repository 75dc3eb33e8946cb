"""Queues and their workers, as the ledger tells of them: who lives, what each runs now, who keeps to a pause."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models.functions import Now

from routing.console.lives import MANY
from routing.console.page_parts import message_url
from routing.console.searching.limit import TookTooLong, time_limit
from routing.ledger import lookup, pauses, processes
from routing.ledger.loads import Load, loads
from routing.ledger.pauses import Unconfirmed
from routing.ledger.tables import Message, Process, QueuePause

SECONDS = 1.0
"""For each statement that reads every task in flight."""
SHOWN = 20
"""Tasks of one worker; it says so where it runs more."""


@dataclass(frozen=True)
class Running:
    task: str
    url: str
    pid: int | None
    for_: timedelta


@dataclass(frozen=True)
class WorkerRow:
    """``runs`` is None where looking took too long."""

    row: Process
    age: timedelta
    queues: tuple[str, ...]
    runs: Sequence[Running] | None

    @property
    def name(self) -> str:
        return self.row.name or str(self.row)

    @property
    def is_late(self) -> bool:
        return self.age > Process.LATE_AFTER

    @property
    def shown(self) -> Sequence[Running]:
        return (self.runs or ())[:SHOWN]


@dataclass(frozen=True)
class PoolRows:
    """What the database has of all queues at once. ``loads`` is None where counting took too long."""

    workers: Sequence[WorkerRow] = ()
    paused: Mapping[str, QueuePause] = field(default_factory=dict)
    unconfirmed: Mapping[str, Sequence[Unconfirmed]] = field(default_factory=dict)
    loads: Mapping[str, Load] | None = None

    def of(self, queue: str) -> list[WorkerRow]:
        return [worker for worker in self.workers if queue in worker.queues]


def read() -> PoolRows:
    """Raises what the database raises."""
    rows: list[Any] = list(processes.live(Process.Role.WORKER).annotate(now=Now()).order_by("name", "pk")[:MANY])
    runs = _runs([row.pk for row in rows])
    paused = {one.queue: one for one in pauses.in_force()}
    return PoolRows(
        workers=[_worker(row, row.now, runs) for row in rows],
        paused=paused,
        unconfirmed={queue: pauses.unconfirmed(queue) for queue in paused},
        loads=_loads(),
    )


def _worker(row: Process, now: datetime, runs: Mapping[int, Sequence[Running]] | None) -> WorkerRow:
    age = max(now - row.beat_at, timedelta())
    return WorkerRow(row, age, tuple(json.loads(row.queues)), None if runs is None else runs.get(row.pk, ()))


def _runs(owners: Sequence[int]) -> Mapping[int, Sequence[Running]] | None:
    """There is no index of owners, because a claim would have to keep it."""
    found: dict[int, list[Running]] = {}
    columns = ("task", "owner", "pid", "started_at")
    try:
        with time_limit(SECONDS):
            rows: list[Any] = list(lookup.messages().filter(owner__in=owners).only(*columns).annotate(now=Now()))
    except TookTooLong:
        return None
    for row in sorted(rows, key=lambda row: row.started_at or row.now):
        found.setdefault(row.owner, []).append(_running(row, row.now))
    return found


def _running(row: Message, now: datetime) -> Running:
    return Running(row.task, message_url(row.pk), row.pid, max(now - (row.started_at or now), timedelta()))


def _loads() -> Mapping[str, Load] | None:
    try:
        with time_limit(SECONDS):
            return loads()
    except TookTooLong:
        return None
