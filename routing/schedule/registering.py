"""Bring the code's entries into the database when a beat has started: the beat that was started last wins.

From then on every beat, of whatever release, goes by the rows. What was due by then and is not decided is decided
first, as it was defined when it was due: so no due time is looked at twice, under two definitions.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from routing import faults
from routing.ledger import database, slots
from routing.ledger.schedule_tables import ScheduleEntry
from routing.schedule.deciding import Clock, settle
from routing.schedule.definition import Definition, Unknown, Unusable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """What this code makes of an entry: columns of its row."""

    task: str
    timing: str
    definition: str
    fingerprint: str
    trouble: str

    @classmethod
    def of(cls, found: Definition | Unusable) -> "Version":
        if isinstance(found, Unusable):
            return cls("", "", "", "", str(found))
        return cls(found.task, str(found.timing), found.as_text(), found.fingerprint, "")


def register(found: Mapping[str, Definition | Unusable], *, age: timedelta, clock: Clock = database.now) -> bool:
    """Make these the entries. False, and nothing is changed, if a beat that was started later has done so before.

    ``age`` is how long ago this beat was started. Safe to call again, and to be killed anywhere: a batch of what is
    to be decided first is a transaction of its own, and the change itself is one.
    """
    versions = {name: Version.of(one) for name, one in found.items()}
    while True:
        with slots.transaction():
            rows = slots.hold_all()
            now = clock()
            started_at = now - age
            # A time still to come was written before the clock was set back, and says nothing.
            if any(started_at < row.defined_at <= now for row in rows.values()):
                return False
            over = [row for row in rows.values() if _is_over(row, versions.get(row.name))]
            if not any(_settle(row, now) for row in over):
                _write(versions, rows, now=now, started_at=started_at)
                faults.point("schedule.registering")
                return True


def _is_over(row: ScheduleEntry, version: Version | None) -> bool:
    """Whether it is due at other times from now on, or never again."""
    return version is None or row.timing != version.timing


def _settle(row: ScheduleEntry, now: datetime) -> bool:
    """Decide a batch of what was due. Whether there is more."""
    try:
        return settle(row, now=now, is_own=True, is_over=True).has_more
    except Unknown:
        # Of a later release, which was rolled back: nobody here can tell what was due.
        return False


def _write(
    versions: Mapping[str, Version], rows: Mapping[str, ScheduleEntry], *, now: datetime, started_at: datetime
) -> None:
    for name, version in versions.items():
        if name not in rows:
            _add(name, version, now=now, started_at=started_at)
        else:
            _change(rows[name], version, now=now, started_at=started_at)
    gone = [row.name for row in rows.values() if row.name not in versions and not row.removed_at]
    slots.remove(gone, at=now, defined_at=started_at)
    for name in gone:
        logger.info("The schedule entry %s is removed: the code has it no more", name)


def _add(name: str, version: Version, *, now: datetime, started_at: datetime) -> None:
    slots.entries().create(
        name=name,
        **asdict(version),
        defined_at=started_at,
        anchor=now.replace(microsecond=0),
        # What would have been due before it was there was never missed.
        decided_until=now,
    )
    logger.info("The schedule entry %s is new", name)


def _change(row: ScheduleEntry, version: Version, *, now: datetime, started_at: datetime) -> None:
    if row.removed_at or _is_over(row, version):
        slots.decided(row.name, now)
    if row.fingerprint != version.fingerprint:
        logger.info("The schedule entry %s is changed: %s", row.name, version.trouble or version.timing)
    slots.entries().filter(pk=row.name).update(
        **asdict(version),
        defined_at=started_at,
        removed_at=None,
    )
