"""Signs of life for a service elsewhere that calls people when they stop coming, such as a dead man's switch.

What is up here cannot tell that all of it is down. Nothing here raises, or keeps whoever calls it waiting for long.
"""

import logging
import threading
import time

from django.conf import settings

from routing.outward import NotTaken, place, post

logger = logging.getLogger(__name__)

BEAT, WEEKLY_REPORT = "beat", "weekly-report"
SECONDS = 5.0
"""For each try."""
TRIES = 3
EVERY = 60.0


def once(name: str) -> bool:
    """Say that this went well, with a few tries; False if it is to be told to nobody, or nobody took it.

    For what happens seldom: one that is lost would have somebody called for nothing.
    """
    url = settings.TASKYARD_PINGS.get(name, "")
    return bool(url) and any(_ping(name, url) for _ in range(TRIES))


class Steady:
    """A sign of life about once a minute, for as long as ``alive`` is called. It costs the caller no time."""

    def __init__(self, name: str, *, every: float = EVERY) -> None:
        self._name = name
        self._every = every
        self._due_at = float("-inf")
        self._thread: threading.Thread | None = None

    def alive(self) -> None:
        url = settings.TASKYARD_PINGS.get(self._name, "")
        under_way = self._thread is not None and self._thread.is_alive()
        if not url or under_way or time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + self._every
        self._thread = threading.Thread(target=_ping, args=(self._name, url), name="ping", daemon=True)
        self._thread.start()


def _ping(name: str, url: str) -> bool:
    try:
        post(url, seconds=SECONDS)
    except NotTaken as error:
        logger.warning("The sign of life of %s was not taken: %s", name, error)
        return False
    except Exception:
        # The edge of what must never hurt: whoever has just done its work is not to fail by this.
        logger.exception("The sign of life of %s could not be sent to %s", name, place(url))
        return False
    return True
