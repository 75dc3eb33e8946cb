"""What the start page tells in figures, asked beside the survey; what does not come in time is left out, or is older.

However many look, and however large the tables are, two questions at a time are put to the database.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.db import DatabaseError, InterfaceError

from routing import history
from routing.console.readings import Known, Reading
from routing.history import PastDay
from routing.ledger import audit, database, figures, newest, pulse
from routing.ledger.figures import Figures
from routing.ledger.newest import Newest
from routing.ledger.pulse_tables import LastAudit, QueueHour

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE, LESS_PATIENCE = 2.0, 0.5
"""Seconds for all of it; less where an older answer is there to be shown."""
OLD = 5.0
"""Seconds from which on a figure's age is told."""
GOOD_FOR = 10.0
STILL_GOOD = 60.0
"""Seconds: so old may a day's history be while a newer one is asked for, and nobody waits for that."""


@dataclass(frozen=True)
class Now:
    figures: Figures
    audit: LastAudit | None


@dataclass(frozen=True)
class Past:
    day: PastDay = field(default_factory=PastDay)
    pulses: Sequence[QueueHour] = ()
    newest: Newest = field(default_factory=Newest)


@dataclass(frozen=True)
class Glance:
    """None where nothing was told in time; ``seconds_old`` where that is worth telling."""

    now: Now | None = None
    past: Past | None = None
    seconds_old: float = 0.0


def readings() -> tuple[Reading[Now], Reading[Past]]:
    return Reading(_now, name="ask-figures"), Reading(_past, name="ask-past-day", rest=GOOD_FOR)


def begin() -> float:
    """Put the questions, and return until when ``take`` shall wait for the answers."""
    NOW.begin()
    PAST.begin()
    return time.monotonic() + PATIENCE


def take(*, deadline: float) -> Glance:
    now, past = _latest(NOW, deadline), _latest(PAST, deadline, still_good=STILL_GOOD)
    age = NOW.age(now) if now else 0.0
    return Glance(now.value if now else None, past.value if past else None, age if age > OLD else 0.0)


def _latest(reading: Reading[T], deadline: float, *, still_good: float = 0.0) -> Known[T] | None:
    known = reading.known
    if known and reading.age(known) < still_good:
        return known
    seconds = LESS_PATIENCE if known else PATIENCE
    try:
        return reading.latest(seconds=min(seconds, max(deadline - time.monotonic(), 0.0)))
    except (DatabaseError, InterfaceError) as error:
        # The survey names the cure.
        logger.warning("The start page's figures cannot be read: %s", error)
        return None


def _now() -> Now:
    return Now(figures.read(), audit.last())


def _past() -> Past:
    day = history.past_day()
    return Past(day, pulse.past_day(database.now()), newest.read(after=day.reached))


NOW, PAST = readings()
