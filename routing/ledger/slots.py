"""The slots of the schedule: who takes a due time, and what became of it.

A due time belongs to whoever inserts its row, in the transaction that enqueues its task. So two beats cannot both fire
it, and none can take it and fail to fire it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db.models import F, QuerySet
from django.db.models.functions import Greatest

from routing.ledger import database
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot

LOCK_FOR = 5.0
"""Seconds to wait for a lock: on an entry that is being decided, or on a unique key that is just being taken."""
IDLE_FOR = 10.0
"""Seconds: a beat that is frozen inside its transaction loses it after that, and no longer holds up the others."""


def entries() -> "QuerySet[ScheduleEntry]":
    return ScheduleEntry.objects.using(database.using())


def slots() -> "QuerySet[ScheduleSlot]":
    return ScheduleSlot.objects.using(database.using())


def active() -> "QuerySet[ScheduleEntry]":
    """Those that can be due: neither removed from the code nor broken in it."""
    return entries().filter(removed_at=None).exclude(definition="")


@contextmanager
def transaction() -> Iterator[None]:
    """One in which nothing waits for long, and which ends by itself where its process stands still."""
    with database.atomic():
        if database.on_postgresql():
            database.rows(
                "SELECT set_config('lock_timeout', %s, true), "
                "set_config('idle_in_transaction_session_timeout', %s, true)",
                [f"{LOCK_FOR * 1000:.0f}", f"{IDLE_FOR * 1000:.0f}"],
            )
        yield


def hold(name: str, *, wait: bool = False) -> ScheduleEntry | None:
    """The entry as it is now, and as it stays until the transaction ends. None if it is gone, or another one has it."""
    rows = entries().filter(pk=name)
    return (rows.select_for_update() if wait else rows.select_for_update(skip_locked=True)).first()


def hold_all() -> dict[str, ScheduleEntry]:
    """All of them, of which nobody decides anything until the transaction ends."""
    if database.on_postgresql():
        # Against "FOR UPDATE", too: whoever held a row would else wait for us, and we for his row.
        database.execute("LOCK TABLE routing_scheduleentry IN EXCLUSIVE MODE")
    return {entry.name: entry for entry in entries()}


def take(name: str, due: Mapping[datetime, str], *, at: datetime, by: str = "") -> list[datetime]:
    """Insert slots, each with why it is missed or ``""``. Those that nobody had inserted before, in order."""
    if not due:
        return []
    values = [
        value
        for due_at, missed in due.items()
        for value in (name, database.parameter(due_at), database.parameter(at), missed, by)
    ]
    taken = database.rows(
        "INSERT INTO routing_scheduleslot (entry, due_at, decided_at, missed, asked_by, task_id, detail) VALUES "
        + ", ".join(["(%s, %s, %s, %s, %s, '', '')"] * len(due))
        + " ON CONFLICT (entry, due_at) DO NOTHING RETURNING due_at",
        values,
    )
    return sorted(moment for row in taken if (moment := database.moment(row["due_at"])))


def fired(name: str, due_at: datetime, task_id: str) -> None:
    slots().filter(entry=name, due_at=due_at).update(task_id=task_id)


def refused(name: str, due_at: datetime, why: str) -> None:
    slots().filter(entry=name, due_at=due_at).update(missed=ScheduleSlot.Missed.REFUSED, detail=why)


def decided(name: str, until: datetime) -> None:
    """It only moves forward, also where a clock was set back."""
    entries().filter(pk=name).update(decided_until=Greatest(F("decided_until"), until))


def remove(names: Sequence[str], *, at: datetime, defined_at: datetime) -> None:
    """They have left the code."""
    entries().filter(pk__in=names).update(removed_at=at, defined_at=defined_at, trouble="")
