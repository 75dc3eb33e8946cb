"""Beats whose clock the test moves, on the real database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils.module_loading import autodiscover_modules

from routing.ledger.schedule_tables import ScheduleSlot
from routing.schedule.scheduler import Scheduler

autodiscover_modules("tasks")
MONDAY = datetime(2027, 1, 4, 8, 0, tzinfo=UTC)


class Clock:
    """The database's clock, as a test would have it."""

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class Release:
    """Code with a schedule of its own, of which beats are started."""

    def __init__(self, clock: Clock, **entries: Any) -> None:
        self.clock = clock
        self.entries = {name.replace("_", "-"): entry for name, entry in entries.items()}

    def start(self, *, age: float = 0) -> Scheduler:
        """A beat, which was started so many seconds ago; with its first tick, it registers its code."""
        with self.code():
            beat = Scheduler(app=current_app, max_interval=5, clock=self.clock)
        beat._born_at -= age
        return beat

    @contextmanager
    def code(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(current_app.conf, "beat_schedule", self.entries)
            yield


def entry(schedule: Any, **more: Any) -> dict[str, Any]:
    return {"task": "maintenance.cleanup", "schedule": schedule, **more}


def run(beat: Scheduler) -> None:
    """Tick until nothing is due."""
    while beat.tick() <= 0:
        pass


def slots(name: str) -> dict[str, str]:
    """What became of each due time: ``fired``, or why it was missed."""
    rows = ScheduleSlot.objects.filter(entry=name).order_by("due_at")
    return {f"{row.due_at:%a %H:%M}": row.missed or ("fired" if row.task_id else "lost") for row in rows}
