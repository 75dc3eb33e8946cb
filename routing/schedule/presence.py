"""Whether a beat lives: its process row, which each beat renews by the database's clock."""

import logging
import os
import socket
import threading
import time
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from routing.ledger.tables import Process

logger = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between two beats; ``Process.LATE_AFTER`` forgives several that did not get through."""
DEAD_AFTER = timedelta(days=1)


def last_beat() -> Process | None:
    """The beat that was heard of last, alive or not; None if there never was one, or not for a day."""
    return Process.objects.filter(role=Process.Role.BEAT).order_by("-beat_at").first()


class Presence:
    """This process's row. Nothing here raises: a database that is away must not stop the schedule."""

    def __init__(self) -> None:
        self._identity = {"role": Process.Role.BEAT, "host": socket.gethostname(), "pid": os.getpid()}
        self._has_arrived = False
        self._beaten_at = float("-inf")
        self._is_failing = False

    def beat(self) -> None:
        """Renew the row, unless that was done less than ``EVERY`` seconds ago."""
        if time.monotonic() - self._beaten_at < EVERY:
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
        """Remove the row, if the database lets us within ``patience`` seconds; else it is pruned after a day."""
        # A thread has a connection of its own. Celery closes the schedule inside its signal handler, which may have
        # interrupted a statement on ours, and would wait for that one's lock for ever.
        thread = threading.Thread(target=self._remove, name="leave", daemon=True)
        thread.start()
        thread.join(patience)

    def _write(self) -> None:
        if self._has_arrived and self._row().update(beat_at=Now()):
            return
        # A container's only process often has the same host name and pid as the one before it.
        Process.objects.bulk_create(
            [Process(**self._identity, started_at=Now(), beat_at=Now())],
            update_conflicts=True,
            unique_fields=["role", "host", "pid"],
            update_fields=["started_at", "beat_at"],
        )
        self._forget_the_dead()
        self._has_arrived = True

    def _forget_the_dead(self) -> None:
        """Those elsewhere after a day; those here at once, because this beat takes their place."""
        beats = Process.objects.filter(role=Process.Role.BEAT)
        beats.filter(beat_at__lt=Now() - DEAD_AFTER).delete()
        beats.filter(host=self._identity["host"], beat_at__lt=Now() - Process.LATE_AFTER).delete()

    def _remove(self) -> None:
        try:
            self._row().delete()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("This beat's row stays, because the database cannot be reached: %s", error)
        finally:
            connection.close()

    def _row(self) -> QuerySet[Process]:
        return Process.objects.filter(**self._identity)

    def _tell_once(self, error: Exception) -> None:
        if not self._is_failing:
            logger.warning("Cannot write this beat's row; the schedule goes on. %s", error)
        self._is_failing = True
