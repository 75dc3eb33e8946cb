"""Whether a beat lives: its process row, which each beat renews by the database's clock."""

import logging
import threading
import time

from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.db.models import Q
from django.db.models.functions import Now

from routing.ledger import processes
from routing.ledger.tables import Process

logger = logging.getLogger(__name__)


def last_beat() -> Process | None:
    """The beat that was heard of last, alive or not; None if there never was one, or not for a day."""
    return processes.rows().filter(role=Process.Role.BEAT).order_by("-beat_at").first()


class Presence:
    """This process's row. Nothing here raises: a database that is away must not stop the schedule."""

    def __init__(self) -> None:
        self._id: int | None = None
        self._beaten_at = float("-inf")
        self._is_failing = False

    def beat(self) -> None:
        """Renew the row, unless that was done a moment ago. One that was declared dead by mistake registers anew."""
        if time.monotonic() - self._beaten_at < processes.BEAT_EVERY:
            return
        self._beaten_at = time.monotonic()
        try:
            # Beat lives for months, longer than any connection; without this a broken one would stay.
            close_old_connections()
            self._write()
        except (DatabaseError, InterfaceError) as error:
            self._tell_once(error)
        else:
            self._is_failing = False

    def leave(self, *, patience: float = 3.0) -> None:
        """Remove the row, if the database lets us within ``patience`` seconds; else it is declared dead in time."""
        # A thread has a connection of its own. Celery closes the schedule inside its signal handler, which may have
        # interrupted a statement on ours, and would wait for that one's lock for ever.
        thread = threading.Thread(target=self._remove, name="leave", daemon=True)
        thread.start()
        thread.join(patience)

    def _write(self) -> None:
        if self._id is not None and processes.beat(self._id):
            return
        # It owns no task, so there is nothing to drop.
        self._id = processes.register(Process.Role.BEAT, "")
        self._forget_the_dead(self._id)

    def _forget_the_dead(self, own: int) -> None:
        """Those elsewhere after a day; those here at once, because this beat takes their place."""
        host = Q(host=processes.rows().get(pk=own).host, beat_at__lt=Now() - Process.LATE_AFTER)
        beats = processes.rows().filter(role=Process.Role.BEAT).exclude(pk=own)
        beats.filter(host | Q(beat_at__lt=Now() - processes.PRUNE_AFTER)).delete()

    def _remove(self) -> None:
        try:
            if self._id is not None:
                processes.leave(self._id)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("This beat's row stays, because the database cannot be reached: %s", error)
        finally:
            connections.close_all()

    def _tell_once(self, error: Exception) -> None:
        if not self._is_failing:
            logger.warning("Cannot write this beat's row yet. %s", error)
        self._is_failing = True
