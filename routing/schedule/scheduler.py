"""Celery's ``beat_scheduler``: any number of beats, of which one fires each due time, without broker or file."""

import logging
import time
from datetime import datetime, timedelta
from typing import Any

from celery.beat import Scheduler as CelerysScheduler
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from routing import pinging
from routing.ledger import database, slots
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.schedule.deciding import Clock, Decided, decide
from routing.schedule.definition import Definition, Unknown, Unusable, from_text, read_all
from routing.schedule.presence import Presence
from routing.schedule.registering import register
from routing.schedule.timing import next_due

logger = logging.getLogger(__name__)

RETRY_AFTER = 2.0
"""Seconds until the database is tried again, or an entry that it refused."""
HELD_FOR = 0.5
"""Seconds until we look whether the beat that was at an entry has decided it."""
UNKNOWN_FOR = 30.0
"""Seconds until an entry of another release is tried again."""


class Scheduler(CelerysScheduler):
    """Registers the code's entries once, and from then on goes by the rows, as every other beat does."""

    def __init__(self, *args: Any, clock: Clock = database.now, **kwargs: Any) -> None:
        self._born_at = time.monotonic()
        self._clock = clock
        self._presence = Presence()
        self._ping = pinging.Steady(pinging.BEAT)
        self._found: dict[str, Definition | Unusable] = {}
        self._is_registered = False
        self._held_until: dict[str, float] = {}
        self._is_away = False
        super().__init__(*args, **kwargs)
        self._longest = float(self.max_interval or 5)

    def setup_schedule(self) -> None:
        """Only read here: the database may be away when beat starts."""
        self._found = dict(read_all(self.app))
        for name, found in self._found.items():
            if isinstance(found, Unusable):
                logger.error("The schedule entry %s is not run. %s", name, found)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Decide all that is due. Seconds until something may be due again."""
        self._presence.beat()
        try:
            # Beat lives for months, longer than any connection.
            close_old_connections()
            self._register()
            wait = self._decide_all()
        except (DatabaseError, InterfaceError) as error:
            self._tell_once(error)
            connections[database.using()].close()
            return min(RETRY_AFTER, self._longest)
        # Only now: a beat that cannot reach the schedule gives no sign of life.
        self._ping.alive()
        return wait

    def should_sync(self) -> bool:
        """What is decided is in the database."""
        return False

    def close(self) -> None:
        super().close()
        self._presence.leave()

    @property
    def info(self) -> str:
        return "    . entries -> in the database"

    def _register(self) -> None:
        if self._is_registered:
            return
        age = timedelta(seconds=time.monotonic() - self._born_at)
        if not register(self._found, age=age, clock=self._clock):
            logger.warning("A beat that was started later has registered the schedule; this one goes by that")
        self._is_registered = True

    def _decide_all(self) -> float:
        now = self._clock()
        waits = [self._longest, *(self._attend(entry, now) for entry in slots.active())]
        if self._is_away:
            logger.info("The database is back")
        self._is_away = False
        return max(min(waits), 0.0)

    def _attend(self, entry: ScheduleEntry, now: datetime) -> float:
        """Seconds until it is to be looked at again. An entry that fails holds up no other one."""
        held = self._held_until.get(entry.name, 0) - time.monotonic()
        if held > 0:
            return held
        try:
            wait = self._seconds_until_due(entry, now)
            return self._decide(entry) if wait <= 0 else wait
        except Unknown as unknown:
            logger.warning("The schedule entry %s is left to a beat of its own release. %s", entry, unknown)
            return self._hold(entry, UNKNOWN_FOR)
        except (DatabaseError, InterfaceError) as error:
            if not database.is_usable():
                raise
            logger.warning("Could not decide what is due of %s; trying again in %.0f s. %s", entry, RETRY_AFTER, error)
            return self._hold(entry, RETRY_AFTER)

    def _seconds_until_due(self, entry: ScheduleEntry, now: datetime) -> float:
        due_at = next_due(from_text(entry.definition).timing, entry.decided_until, entry.anchor)
        return (due_at - now).total_seconds() if due_at else self._longest

    def _decide(self, entry: ScheduleEntry) -> float:
        decided = decide(entry.name, clock=self._clock, owns=self._owns)
        _report(entry.name, decided)
        return self._hold(entry, HELD_FOR) if decided.was_held else 0.0

    def _owns(self, entry: ScheduleEntry) -> bool:
        found = self._found.get(entry.name)
        return isinstance(found, Definition) and found.fingerprint == entry.fingerprint

    def _hold(self, entry: ScheduleEntry, seconds: float) -> float:
        self._held_until[entry.name] = time.monotonic() + seconds
        return seconds

    def _tell_once(self, error: Exception) -> None:
        if not self._is_away:
            logger.warning("The database cannot be used, so nothing is fired until it is back. %s", error)
        self._is_away = True


def _report(name: str, decided: Decided) -> None:
    for due_at, task_id in decided.fired.items():
        logger.info("Fired %s, due %s: [%s]", name, due_at.isoformat(), task_id)
    for reason in sorted(set(decided.missed.values())):
        due = [due_at for due_at, why in decided.missed.items() if why == reason]
        level = logging.INFO if reason == ScheduleSlot.Missed.PAUSED else logging.WARNING
        logger.log(level, "Missed %s, due %s: %s", name, _moments(due), ScheduleSlot.Missed(reason).label)


def _moments(due: list[datetime]) -> str:
    first, last = min(due).isoformat(), max(due).isoformat()
    return first if len(due) == 1 else f"{len(due)} times from {first} to {last}"
