"""Keeper: a relay's housekeeping in the ledger, in a thread of its own, so that neither side waits for the other.

A broker that hangs does not keep the relay from showing that it lives, nor a flood of expired tasks from publishing.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError
from django.db.models import Q

from routing.broker import expiry, forbidden
from routing.broker.lookout import Lookout
from routing.ledger import database, fingerprint, job_tasks, pauses, processes, pulse, redrive, tally
from routing.ledger.tables import Process

logger = logging.getLogger(__name__)

EXPIRE_EVERY = 1.0
LOOK_OUT_EVERY = 0.5
ROLL_UP_EVERY = 10.0
FINGERPRINTS_EVERY = 5.0
JOBS_EVERY = 15.0
PULSE_EVERY = 60.0
SWEEP_EVERY = 15.0
SWEEP_SHARE = 20
"""A sweep for dead owners reads every message in flight: it may take one part in this many of our time."""


@dataclass
class Duty:
    """Something to do every so many seconds. One that fails does not stop the others."""

    name: str
    every: float
    run_once: Callable[[], object]
    due_at: float = 0.0
    failing: bool = False

    def run(self) -> None:
        try:
            self.run_once()
        except (DatabaseError, InterfaceError) as error:
            self._failed(error)
        except Exception:
            # The edge of the thread: its other duties go on.
            logger.exception("Cannot %s; trying again in %.0f s", self.name, self.every)
        else:
            self.failing = False
        self.due_at = time.monotonic() + self.every

    def _failed(self, error: Exception) -> None:
        if not self.failing:
            logger.warning("Cannot %s, and goes on trying: %s", self.name, error)
        self.failing = True
        database.connection().close()


class DeadOwners:
    """Finds who has died, and gives out again what they owned."""

    def __init__(self) -> None:
        self._observer = processes.Observer()
        self._living: set[int] = set()
        self._sweep_at = 0.0

    def run_once(self) -> None:
        self._observer.observe()
        living = set(processes.rows().filter(dead_at=None).values_list("pk", flat=True))
        if self._living - living or time.monotonic() >= self._sweep_at:
            began = time.monotonic()
            is_all = redrive.of_dead_owners() < redrive.GIVEN_UP_AT_ONCE
            now = time.monotonic()
            self._sweep_at = now + (max(SWEEP_EVERY, SWEEP_SHARE * (now - began)) if is_all else 0.0)
        # Only now: after a failure those who have gone are missed again.
        self._living = living


class Keeper(threading.Thread):
    def __init__(self, *, name: str, embedded: bool, stop: threading.Event) -> None:
        super().__init__(name="keeper", daemon=True)
        self.process_id: int | None = None
        self.stands_by = not database.on_postgresql()
        """On SQLite one relay publishes; whether that is another one, as far as we know."""
        self.lookout = Lookout()
        self._process_name = name
        self._embedded = embedded
        self._stop_all = stop
        self._news = threading.Event()
        self._ended = threading.Event()
        self._troubles: dict[str, str] = {}
        self._beat = Duty("show that this relay lives", processes.BEAT_EVERY, self.beat)
        self._duties = [
            self._beat,
            Duty("look for paused queues", pauses.LOOK_EVERY, lambda: self.lookout.gate.follow(self.process_id)),
            Duty("look for dead processes", processes.BEAT_EVERY, DeadOwners().run_once),
            Duty("expire tasks", EXPIRE_EVERY, expiry.sweep),
            Duty("revoke what is not to run again", EXPIRE_EVERY, forbidden.sweep),
            Duty("roll up the books", ROLL_UP_EVERY, tally.roll_up),
            Duty("tell the causes of dead letters", FINGERPRINTS_EVERY, fingerprint.work_out),
            Duty("give jobs another task", JOBS_EVERY, job_tasks.replace_lost),
            Duty("note how full the queues are", PULSE_EVERY, pulse.take, due_at=time.monotonic() + PULSE_EVERY),
            Duty("look for what was overlooked", LOOK_OUT_EVERY, self.lookout.run_once),
        ]

    @property
    def trouble(self) -> str:
        return next((trouble for trouble in list(self._troubles.values()) if trouble), "")

    def report(self, trouble: str, *, hand: str) -> None:
        """Shown with the next beat, which comes at once if it is news."""
        if trouble != self._troubles.get(hand, ""):
            self._troubles[hand] = trouble
            self._beat.due_at = 0.0
            self._news.set()

    def end(self) -> None:
        """Finish, and leave the list of processes. Returns when that is done."""
        self._ended.set()
        self._news.set()
        self.join()

    def run(self) -> None:
        while not self._ended.is_set():
            for duty in self._duties:
                if duty.due_at <= time.monotonic() and not self._ended.is_set():
                    duty.run()
            self._news.wait(max(min(duty.due_at for duty in self._duties) - time.monotonic(), 0.0))
            self._news.clear()
        Duty("leave the list of processes", 0.0, self._leave).run()
        database.connection().close()

    def beat(self) -> None:
        """Show that it lives, under a new incarnation if it was declared dead, and see who else does."""
        if self.process_id is None or not processes.beat(self.process_id, trouble=self.trouble):
            if self.process_id is not None:
                logger.warning("This relay was declared dead, and goes on as a new process")
            self.process_id = processes.register(Process.Role.RELAY, self._process_name, embedded=self._embedded)
            processes.beat(self.process_id, trouble=self.trouble)
        others = processes.beating(Process.Role.RELAY).exclude(pk=self.process_id)
        if self._embedded and others.filter(Q(embedded=False) | Q(pk__lt=self.process_id)).exists():
            logger.info("Another relay runs, so this one ends")
            self._stop_all.set()
        self.stands_by = not database.on_postgresql() and others.filter(pk__lt=self.process_id).exists()

    def _leave(self) -> None:
        if self.process_id is not None:
            processes.leave(self.process_id)
