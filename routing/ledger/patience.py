"""Infrastructure is never the task's fault: what must be written waits for a database that is away."""

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError

from routing.ledger import database

T = TypeVar("T")
logger = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0
_PASSING_CLASSES = (
    "08",  # the connection
    "53",  # out of memory, disk space or connections
    "57P",  # shutting down, or not yet up
)
_PASSING_STATES = (
    "25006",  # read-only: a primary that has just become a standby
    "25P03",  # idle in transaction for too long: this process stood still
    "40001",  # could not serialise
    "40P01",  # deadlock
)
_PASSING_ON_SQLITE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)


def until_reachable(write: Callable[[], T], *, seconds: float = float("inf")) -> T:
    """Call ``write``, again if the database cannot be reached or chose it to give way, for ``seconds`` at most.

    ``write`` must be one transaction of its own, and safe to call again. Inside an open transaction it is called once:
    its error has spoiled the whole.
    """
    deadline, pause = time.monotonic() + seconds, 0.1
    while True:
        try:
            return write()
        except (DatabaseError, InterfaceError) as error:
            connection = database.connection()
            if connection.in_atomic_block or not is_passing(error) or time.monotonic() + pause > deadline:
                raise
            logger.warning("The database cannot be used (%s); trying again in %.1f s", error, pause)
            connection.close()
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def is_passing(error: Exception) -> bool:
    """Whether the database itself failed, and not what it was asked to do: a lost connection, a lock, a deadlock.

    Told by the code that it gives; Django's class does not tell: a failover is an InternalError, a missing table of
    SQLite's an OperationalError.
    """
    if not isinstance(error, DatabaseError | InterfaceError):
        return False
    cause = error.__cause__
    if state := getattr(cause, "sqlstate", None):
        return state.startswith(_PASSING_CLASSES) or state in _PASSING_STATES
    if isinstance(cause, sqlite3.Error):
        # The lower byte is the error, the rest its kind.
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING_ON_SQLITE
    # psycopg could not connect, or lost the connection: the server had no time for a code.
    return isinstance(error, OperationalError | InterfaceError)
