"""Beat's scheduler: Celery's own, which keeps an entry due until it is published, and shows that it lives."""

import dbm
import logging
import time
from copy import copy
from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry, SchedulingError
from celery.schedules import schedstate
from django.db import close_old_connections

from routing.schedule.presence import Presence

logger = logging.getLogger(__name__)

RETRY_AFTER = 5.0
"""Seconds until an entry is tried again that could not be published."""


class Scheduler(PersistentScheduler):
    """Celery's advances an entry before it publishes: a broker away for that second costs the week's report.

    Here an entry advances, and is saved, once its task is published. A crash between the two fires it again at the next
    start, so what beat fires must be safe to call again.
    """

    producer: None = None  # type: ignore[assignment]
    """Tasks are published through the application's pool, whose retries end. Celery's producer here would wait for the
    broker without end, while no other entry is looked at."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._presence = Presence()
        self._held_until: dict[str | None, float] = {}
        self._file = Path(kwargs["schedule_filename"])
        self._file.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        self._presence.beat()
        return float(super().tick(*args, **kwargs))

    def is_due(self, entry: ScheduleEntry) -> schedstate:
        pause = self._held_until.get(entry.name, 0) - time.monotonic()
        return schedstate(is_due=False, next=pause) if pause > 0 else schedstate(*super().is_due(entry))

    def reserve(self, entry: ScheduleEntry) -> ScheduleEntry:  # type: ignore[override]
        """What the entry will be once it is published. Celery would store that already here."""
        return next(entry)

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Publish the entry's task, then advance the entry; if that fails, leave it due and try again shortly."""
        # Enqueueing writes a row, perhaps for the first time in hours.
        close_old_connections()
        try:
            sent = self.apply_async(_named(entry), advance=False)
        except SchedulingError as error:
            self._hold(entry, error)
        else:
            logger.info("Fired %s: %s[%s]", entry.name, entry.task, sent.id)
            self._advance(entry)

    def should_sync(self) -> bool:
        """Never by the clock: each advance is saved at once."""
        return False

    def close(self) -> None:
        super().close()
        self._presence.leave()

    def _advance(self, entry: ScheduleEntry) -> None:
        self._held_until.pop(entry.name, None)
        self.schedule[str(entry.name)] = next(entry)
        try:
            self.sync()
        except dbm.error:
            logger.exception("Cannot save %s: a restart fires %s again", self._file, entry.name)

    def _hold(self, entry: ScheduleEntry, error: SchedulingError) -> None:
        logger.error("%s is due but could not be published; trying again in %.0f s. %s", entry.name, RETRY_AFTER, error)
        self._held_until[entry.name] = time.monotonic() + RETRY_AFTER
        # Celery is about to queue the entry's next time; without a queue it makes one anew, from the schedule.
        self._heap = None


def _named(entry: ScheduleEntry) -> ScheduleEntry:
    """The entry with its name in a header, from where it gets into the result's row."""
    options = entry.options or {}
    named = copy(entry)
    named.options = {**options, "headers": {**options.get("headers", {}), "periodic_task_name": entry.name}}
    return named
