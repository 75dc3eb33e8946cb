"""Wake: tell relays that something was enqueued, and wait for it. Polling is the safety net: nothing relies on a wake.

PostgreSQL: NOTIFY, throttled, and LISTEN on a connection of its own, to ``DATABASE_DIRECT_URL`` where that is given:
through a PgBouncer that keeps no sessions nothing is heard, and polling does it all. SQLite: ``PRAGMA data_version``,
which changes when another connection commits.
"""

import logging
import math
import threading
import time
from datetime import datetime

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper

from routing.ledger import database, pooler

logger = logging.getLogger(__name__)

CHANNEL = "taskyard_outbox"
THROTTLE = 0.01
"""Seconds between two notifications of a process: each takes a lock that the whole database shares.

Whoever hears one looks at once, and once more when that time is over, for what the process has enqueued meanwhile. What
it enqueues later it tells of again.
"""
POLL_SQLITE = 0.01
POLL_HEARING = 0.5
"""Where notifications arrive. Then it is known for how long nothing is due."""
POLL_DEAF, POLL_BUSY = 0.1, 0.02
"""Where none arrives: usually, and for BUSY_FOR after activity."""
BUSY_FOR = 1.0
SOON = 2 * POLL_HEARING
"""What is due later has been seen by a relay before it is."""
LISTEN_AGAIN_AFTER = 5.0

_notified_at = float("-inf")


def is_soon(due: float | datetime | None) -> bool:
    """Whether relays have to be told of what is due then: seconds from now, a point in time, or at once.

    What is due later they find by themselves, and in time.
    """
    return not isinstance(due, int | float) or due < SOON


def wake() -> None:
    """Wake the relays. Call it after the commit; it never raises, and does nothing in a transaction."""
    global _notified_at
    connection, now = database.connection(), time.monotonic()
    if connection.vendor != "postgresql" or connection.in_atomic_block or now - _notified_at < THROTTLE:
        return
    _notified_at = now
    try:
        with connection.cursor() as cursor:
            # One statement is one transaction. Nobody's data hangs on it, so it need not wait for the disk.
            cursor.execute(f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', '')")
    except (DatabaseError, InterfaceError) as error:
        logger.debug("Cannot wake the relays, which will look by themselves: %s", error)


def _in_whole_ms(seconds: float) -> float:
    """Some more, if any: psycopg waits busily for what is left of a timeout below a millisecond."""
    return math.ceil(seconds * 1e3) / 1e3 + 1e-4 if seconds > 0 else 0


def _direct() -> BaseDatabaseWrapper:
    """A connection of one's own, past any pooler as far as a way is known."""
    own = database.connection().copy()
    own.settings_dict.update(settings.TASKYARD_DIRECT_DATABASE)
    return own


class Waiter:
    """Waits for work. One thread's; ``close`` it there."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._busy_until = 0.0
        self._own: BaseDatabaseWrapper | None = None
        self._listen_at = 0.0
        self._hears = False
        self._look_at = float("inf")
        """When the throttle is over of whoever was heard last."""
        self._version: int | None = None

    def busy(self) -> None:
        """Something was published just now, so more is likely: where nothing is heard, look often."""
        self._busy_until = time.monotonic() + BUSY_FOR

    def wait(self, seconds: float) -> None:
        """Return at a wake, when told to stop, after ``seconds``, or when it is time to look anyway."""
        if database.on_postgresql():
            self._wait_on_postgresql(min(seconds, self._interval()))
        else:
            self._wait_on_sqlite(min(seconds, POLL_HEARING))

    def rest(self, seconds: float) -> None:
        """Return after ``seconds``, or when told to stop. A wake meanwhile ends the next wait at once."""
        self._stop.wait(seconds)

    def close(self) -> None:
        """Safe to call again."""
        own, self._own, self._hears = self._own, None, False
        if own is not None:
            own.close()

    def _interval(self) -> float:
        now = time.monotonic()
        if self._hears:
            return min(POLL_HEARING, max(self._look_at - now, 0))
        return POLL_BUSY if now < self._busy_until else POLL_DEAF

    def _wait_on_postgresql(self, seconds: float) -> None:
        try:
            listening = self._listening()
            if listening is None:
                self._stop.wait(seconds)
            elif list(listening.connection.notifies(timeout=_in_whole_ms(seconds), stop_after=1)):
                self._hears = True
                self._look_at = time.monotonic() + THROTTLE
            elif time.monotonic() >= self._look_at:
                self._look_at = float("inf")
        # Django translates psycopg's errors on its cursors only.
        except (DatabaseError, InterfaceError, psycopg.Error) as error:
            logger.debug("Cannot listen for wakes, so this relay looks by itself: %s", error)
            self.close()
            self._listen_at = time.monotonic() + LISTEN_AGAIN_AFTER

    def _listening(self) -> BaseDatabaseWrapper | None:
        """A connection of its own, which listens, and has shown itself that it hears."""
        if self._own is None and time.monotonic() >= self._listen_at:
            self._own = _direct()
            if pooler.stands_between(self._own):
                # It would hear its own word, in the session that it happens to have just then, and no other.
                logger.info(
                    "The database is behind a pooler, through which no notification arrives: this relay looks every "
                    "%.1f s. DATABASE_DIRECT_URL, with the server's own address, lets it listen.",
                    POLL_DEAF,
                )
                self.close()
                self._listen_at = float("inf")
                return None
            with self._own.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
                cursor.execute(f"SELECT pg_notify('{CHANNEL}', '')")
        return self._own

    def _wait_on_sqlite(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._has_changed() and (left := deadline - time.monotonic()) > 0:
            if self._stop.wait(min(left, POLL_SQLITE)):
                return

    def _has_changed(self) -> bool:
        (row,) = database.rows("PRAGMA data_version")
        before, self._version = self._version, row["data_version"]
        return before != self._version
