"""Infrastructure is never the task's fault: what must be written waits for a database that is away."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")
logger = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0


def until_reachable(write: Callable[[], T], *, seconds: float = 60) -> T:
    """Call ``write``, again if the database cannot be reached, for ``seconds`` at most.

    ``write`` must be one transaction of its own, and safe to call again. Inside an open transaction it is called once:
    its error has spoiled the whole.
    """
    deadline, pause = time.monotonic() + seconds, 0.1
    while True:
        try:
            return write()
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block or time.monotonic() + pause > deadline:
                raise
            logger.warning("The database cannot be reached (%s); trying again in %.1f s", error, pause)
            connection.close()
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
