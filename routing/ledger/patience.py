"""Infrastructure is never the task's fault: what must be written waits for a database that is away."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

from routing.ledger import database

T = TypeVar("T")
logger = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0
_CONNECTION, _SHUTDOWN, _RESOURCES = "08", "57P", "53"
_SERIALISATION, _DEADLOCK = "40001", "40P01"


def until_reachable(write: Callable[[], T], *, seconds: float = float("inf")) -> T:
    """Call ``write``, again if the database cannot be reached or chose it to give way, for ``seconds`` at most.

    ``write`` must be one transaction of its own, and safe to call again. Inside an open transaction it is called once:
    its error has spoiled the whole.
    """
    deadline, pause = time.monotonic() + seconds, 0.1
    while True:
        connection = connections[database.using()]
        try:
            return write()
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block or not is_passing(error) or time.monotonic() + pause > deadline:
                raise
            logger.warning("The database cannot be used (%s); trying again in %.1f s", error, pause)
            connection.close()
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def is_passing(error: Exception) -> bool:
    """Whether the database itself failed, and not what it was asked to do: a lost connection, a lock, a deadlock."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    if state:
        return state.startswith((_CONNECTION, _SHUTDOWN, _RESOURCES)) or state in (_SERIALISATION, _DEADLOCK)
    # Without a state: psycopg could not connect, or lost the connection; SQLite says it in words.
    return "no such" not in str(error)
