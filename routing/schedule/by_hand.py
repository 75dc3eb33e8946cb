"""Pause, resume and run an entry for a person: done once, or refused in words that tell the cure."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError, DataError, InterfaceError
from django.utils.translation import gettext as _

from routing.ledger import database, lookup
from routing.schedule import operating
from routing.schedule.definition import Unknown
from routing.schedule.operating import AlreadyRun, NotRunnable, UnknownEntry

logger = logging.getLogger(__name__)

LONGEST_REASON = 1_000


class Refused(Exception):
    """Nothing was done; the text tells the cure."""


@dataclass(frozen=True, slots=True)
class Ran:
    """``has_joined`` where its task has a unique key, and another task that was in flight already holds it."""

    task_id: str
    has_joined: bool


def require(name: str) -> None:
    """Raises Refused where there is no such entry, and never was."""
    with _in_words(name):
        operating.plan(name)


def pause(name: str, *, by: str, reason: str) -> bool:
    """False if it is paused already. Raises Refused."""
    reason = reason.strip()
    if not reason or "\0" in reason or len(reason) > LONGEST_REASON:
        told = _("The reason must be text of 1 to %(most)s characters, for whoever finds it paused.")
        raise Refused(told % {"most": f"{LONGEST_REASON:,}"})
    with _in_words(name):
        if operating.plan(name).entry.removed_at:
            told = _("%(name)s is no longer in CELERY_BEAT_SCHEDULE, so nothing of it is due.")
            raise Refused(told % {"name": name})
        return operating.pause(name, by=by, reason=reason)


def resume(name: str, *, by: str) -> bool:
    """False if it is not paused. Raises Refused."""
    with _in_words(name):
        return operating.resume(name, by=by)


def run(name: str, *, by: str, asked_at: datetime | None = None) -> Ran:
    """Enqueue its task at once. What names a wish by ``asked_at`` is refused the second time. Raises Refused."""
    with _in_words(name):
        before = database.now()
        task_id = operating.run_now(name, by=by, asked_at=asked_at)
        message = lookup.in_flight(task_id)
        return Ran(task_id, has_joined=message is not None and message.created_at < before)


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    try:
        if "\0" in name:
            # PostgreSQL takes none, not even to look for.
            raise UnknownEntry(name)
        yield
    except UnknownEntry as error:
        raise Refused(f"{error}{_those_there_are()}") from None
    except NotRunnable as error:
        raise Refused(f"{error} {_cure(name)}") from None
    except AlreadyRun as error:
        told = _("%(why)s Nothing was run a second time.") % {"why": error}
        raise Refused(told) from None
    except Unknown as error:
        told = _("%(name)s cannot be run here. %(why)s Use the release that the newest beat runs.")
        raise Refused(told % {"name": name, "why": error}) from None
    except DataError as error:
        raise Refused(_not_enqueued(name, str(error))) from None
    except (DatabaseError, InterfaceError, Refused):
        raise
    except Exception as error:  # whatever a task's class or a signal's receiver raises
        logger.warning("%s could not be enqueued", name, exc_info=error)
        raise Refused(_not_enqueued(name, f"{type(error).__name__}: {error}")) from error


def _not_enqueued(name: str, why: str) -> str:
    return _("%(name)s could not be enqueued: %(why)s") % {"name": name, "why": why}


def _those_there_are() -> str:
    names = [plan.entry.name for plan in operating.plans()]
    return " " + _("The entries are: %(names)s.") % {"names": ", ".join(names)} if names else ""


def _cure(name: str) -> str:
    if operating.plan(name).entry.removed_at:
        return _("To run its task without it, call the task itself.")
    return _("Correct it, and restart beat.")
