"""A schedule in every state an entry can be in, for tests and pictures; registered as beat does it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app, states
from django.utils.module_loading import autodiscover_modules
from django_celery_results.models import TaskResult

from routing.ledger import database, slots
from routing.ledger.schedule_tables import ScheduleSlot
from routing.schedule import operating
from routing.schedule.definition import read_all
from routing.schedule.registering import register
from tests.console import specimens

CLEAN_UP, REPORT = "maintenance.cleanup", "reporting.weekly"
BUILT_IN = {
    "clean-up": {"task": CLEAN_UP, "schedule": "0 2 * * *"},
    "weekly-report": {"task": REPORT, "schedule": "0 9 * * monday"},
}
EVERY = BUILT_IN | {
    "berlin-digest": {"task": REPORT, "schedule": "30 7 * * *", "timezone": "Europe/Berlin"},
    "sweep": {"task": CLEAN_UP, "schedule": 300.0, "missed": "skip"},
    "busy": {"task": CLEAN_UP, "schedule": timedelta(hours=1), "missed": "all", "deadline": 7200},
    "broken": {"task": "maintenance.clean", "schedule": 60.0},
    "held": {"task": REPORT, "schedule": "0 * * * *", "kwargs": {"week": "2026-W46"}},
    "stuck": {"task": REPORT, "schedule": 3600.0},
    "31-february": {"task": REPORT, "schedule": "0 0 31 2 *"},
}


def registered(entries: dict[str, Any]) -> None:
    """As when a beat with these in its code has started."""
    autodiscover_modules("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(current_app.conf, "beat_schedule", entries)
        assert register(dict(read_all(current_app)), age=timedelta())


def ago(**age: float) -> datetime:
    return (database.now() - timedelta(**age)).astimezone(UTC).replace(microsecond=0)


def fired(name: str, due_at: datetime, *, late: timedelta = timedelta(0), **fields: Any) -> ScheduleSlot:
    """A slot whose task has ended, by default well; ``status=None`` for one whose result is pruned."""
    slot = _slot(name, due_at, at=due_at + late)
    status = fields.pop("status", states.SUCCESS)
    task = slots.entries().get(pk=name).task
    row = specimens.result(task, status=status, enqueued=slot.decided_at, **fields) if status else None
    slots.fired(name, due_at, row.task_id if row else "pruned-" + name)
    slot.refresh_from_db()
    return slot


def in_flight(name: str, due_at: datetime, **fields: Any) -> ScheduleSlot:
    message = specimens.in_flight(slots.entries().get(pk=name).task, enqueued=database.now() - due_at, **fields)
    slot = _slot(name, due_at, at=due_at)
    slots.fired(name, due_at, message.pk)
    slot.refresh_from_db()
    return slot


def missed(name: str, due_at: datetime, why: str = "late") -> ScheduleSlot:
    return _slot(name, due_at, at=due_at + timedelta(hours=4), missed=why)


def by_hand(name: str, at: datetime, by: str = "ann") -> ScheduleSlot:
    slot = fired(name, at)
    slots.slots().filter(pk=slot.pk).update(asked_by=by)
    return slot


def overdue(name: str, **by: float) -> None:
    """No beat has come to it for so long."""
    slots.entries().filter(pk=name).update(decided_until=ago(**by), anchor=ago(**by))


def last_result() -> TaskResult:
    return TaskResult.objects.latest("pk")


def a_schedule() -> None:
    """Entries in every state, under names that say which."""
    registered({**EVERY, "gone": {"task": REPORT, "schedule": 60.0}})
    registered(EVERY)
    for days in range(1, 12):
        fired("clean-up", ago(days=days), late=timedelta(minutes=90) if days == 4 else timedelta(seconds=2))
    fired("weekly-report", ago(days=4), status=states.FAILURE, outcome=specimens.REFUSED)
    fired("berlin-digest", ago(hours=14), late=timedelta(hours=2, minutes=5))
    for hours in (3, 2):
        missed("busy", ago(hours=hours), "superseded")
    missed("busy", ago(hours=1))
    in_flight("sweep", ago(minutes=3), state=states.STARTED)
    by_hand("held", ago(hours=2))
    missed("held", ago(hours=1), "paused")
    fired("stuck", ago(days=5), status=None)
    overdue("stuck", hours=4)
    operating.pause("held", by="ann", reason="The printer burns.")


def _slot(name: str, due_at: datetime, *, at: datetime, **fields: Any) -> ScheduleSlot:
    return ScheduleSlot.objects.create(entry=name, due_at=due_at, decided_at=at, **fields)
