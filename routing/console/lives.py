"""Relay, beat and workers, as their rows tell how they are; and the schedule."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from routing import watching
from routing.console import schedule_life
from routing.console.schedule_life import ScheduleLife
from routing.console.time_words import short, since
from routing.domains import registry
from routing.ledger import pauses, processes
from routing.ledger.tables import Process, QueuePause
from routing.watching import Told

MANY = 1000
"""More rows than that no survey reads."""


@dataclass(frozen=True)
class Life:
    """A process's last sign of life, and how long ago, both by the database's clock."""

    process: str
    beat_at: datetime
    age: timedelta
    name: str = ""
    queues: Sequence[str] = ()
    is_dead: bool = False
    embedded: bool = False
    consuming: bool | None = None
    trouble: str = ""

    @property
    def late(self) -> bool:
        return self.is_dead or self.age > Process.LATE_AFTER


Beat = Life


@dataclass(frozen=True)
class Lives:
    """Of each role, the one heard of last comes first."""

    beats: Sequence[Life] = ()
    relays: Sequence[Life] = ()
    workers: Sequence[Life] = ()
    paused: Mapping[str, QueuePause] = field(default_factory=dict)
    """By queue."""
    schedule: ScheduleLife = field(default_factory=ScheduleLife)
    told: Sequence[Told] = ()
    """What domains have to tell."""

    @property
    def beat(self) -> Life | None:
        return next(iter(self.beats), None)

    @cached_property
    def relay(self) -> Life | None:
        """The one that does best: a relay in trouble matters only where no other one does its work."""
        lively = [relay for relay in self.relays if not relay.late]
        return next((relay for relay in lively if not relay.trouble), next(iter([*lively, *self.relays]), None))

    @property
    def idle_workers(self) -> list[Life]:
        """Those that are alive and take no messages."""
        return [worker for worker in self.workers if worker.consuming is False and not worker.late]


def look() -> Lives:
    rows = processes.rows().filter(Q(dead_at=None) | ~Q(role=Process.Role.WORKER))
    found: dict[str, list[Life]] = {}
    for row in rows.annotate(now=Now()).order_by("-beat_at")[:MANY]:
        found.setdefault(row.role, []).append(_life(row, row.now))
    roles = (Process.Role.BEAT, Process.Role.RELAY, Process.Role.WORKER)
    beats, relays, workers = (found.get(role, ()) for role in roles)
    paused = {one.queue: one for one in pauses.in_force()}
    return Lives(beats, relays, workers, paused, schedule_life.look(), watching.look())


def beat_sentence(beat: Life | None) -> str:
    """What is wrong with it and what to do, as with the others; empty where all is well."""
    if beat is None:
        return _("No beat runs, so nothing runs by schedule. Start it: celery -A project beat")
    if beat.late:
        return _(
            "Beat gave its last sign of life %(age)s ago, so nothing runs by schedule. Start it: celery -A project beat"
        ) % {"age": short(beat.age)}
    return ""


def relay_sentence(relay: Life | None) -> str:
    if relay is None:
        return _("No relay runs, so no task gets from the ledger to RabbitMQ. Start one: manage.py relay")
    if relay.late:
        return _(
            "The relay gave its last sign of life %(age)s ago, so no task gets from the ledger to "
            "RabbitMQ. Start one: manage.py relay"
        ) % {"age": short(relay.age)}
    if not relay.trouble:
        return ""
    return _("The %(process)s cannot do its work. %(trouble)s") % {"process": relay.process, "trouble": relay.trouble}


def worker_sentence(worker: Life) -> str:
    if worker.consuming is not False:
        return ""
    return _("%(trouble)s Restart it: %(command)s") % {"trouble": worker.trouble, "command": _command(worker)}


def pause_sentence(paused: QueuePause) -> str:
    return _(
        "%(queue)s has been paused since %(since)s, by %(by)s: %(reason)s. To go on: manage.py queues resume %(queue)s"
    ) % {
        "queue": paused.queue,
        "since": since(paused.paused_at),
        "by": paused.paused_by,
        "reason": paused.reason.rstrip("."),
    }


def _command(worker: Life) -> str:
    pool = worker.name.partition("@")[0]
    if pool in registry().pools:
        return f"manage.py pool {pool}"
    return f"celery -A project worker --queues={','.join(worker.queues)}"


def _life(row: Process, now: datetime) -> Life:
    return Life(
        process=str(row),
        beat_at=row.beat_at,
        age=now - row.beat_at,
        name=row.name,
        queues=json.loads(row.queues),
        is_dead=row.dead_at is not None,
        embedded=row.embedded,
        consuming=row.consuming,
        trouble=row.trouble,
    )
