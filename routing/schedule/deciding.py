"""Decide what becomes of each due time: fired or recorded as missed, once, whoever else decides at the same moment."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice, takewhile

from django.db import DatabaseError, DataError, InterfaceError

from routing import faults
from routing.ledger import database, slots
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.schedule.definition import ON_TIME, Definition, Unknown, from_text
from routing.schedule.firing import fire

logger = logging.getLogger(__name__)

BATCH = 200
"""Due times of an entry that are decided in one transaction."""
Missed = ScheduleSlot.Missed
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Decided:
    """What one transaction decided of an entry."""

    fired: dict[datetime, str] = field(default_factory=dict)
    missed: dict[datetime, str] = field(default_factory=dict)
    has_more: bool = False
    was_held: bool = False
    """Another beat was at it."""


def decide(name: str, *, clock: Clock = database.now, owns: Callable[[ScheduleEntry], bool]) -> Decided:
    """Decide what is due of an entry, up to a batch, in a transaction. Raises Unknown, and what the database raises.

    ``owns`` tells whether an entry is as in this process's own code: one that it cannot enqueue is then refused. Else
    it is left to a beat with that code, by raising Unknown.

    Killed before the commit, nothing was: no slot, no task, and any beat does it anew. Killed after it, all of it was:
    the due time is taken, and lies behind ``decided_until``.
    """
    with slots.transaction():
        entry = slots.hold(name)
        if entry is None:
            return Decided(was_held=True)
        # Asked only now, with the entry held: however long this process stood still, what it decides is decided now.
        decided = settle(entry, now=clock(), is_own=owns(entry))
        faults.point("schedule.decided")
    faults.point("schedule.committed")
    return decided


def settle(entry: ScheduleEntry, *, now: datetime, is_own: bool, is_over: bool = False) -> Decided:
    """Within a transaction that holds the entry. ``is_over`` where it is about to be changed or removed."""
    if entry.removed_at or not entry.definition:
        return Decided()
    definition = from_text(entry.definition)
    due, has_more = _due(entry, definition, now)
    if not due:
        return Decided()
    verdicts = {
        due_at: _missed(entry, definition, due_at, now, is_over=is_over, is_last=due_at == due[-1] and not has_more)
        for due_at in due
    }
    taken = slots.take(entry.name, verdicts, at=now)
    faults.point("schedule.taken")
    outcome = Decided(missed={due_at: verdicts[due_at] for due_at in taken if verdicts[due_at]}, has_more=has_more)
    for due_at in (due_at for due_at in taken if not verdicts[due_at]):
        _fire(entry, definition, due_at, outcome, is_own=is_own)
    slots.decided(entry.name, due[-1])
    return outcome


def _due(entry: ScheduleEntry, definition: Definition, now: datetime) -> tuple[list[datetime], bool]:
    """The first batch of what is due and not decided, and whether more is."""
    coming = definition.timing.after(entry.decided_until, anchor=entry.anchor)
    due = list(islice(takewhile(lambda due_at: due_at <= now, coming), BATCH + 1))
    return due[:BATCH], len(due) > BATCH


def _missed(
    entry: ScheduleEntry, definition: Definition, due_at: datetime, now: datetime, *, is_over: bool, is_last: bool
) -> str:
    """Why this due time is not run; empty if it is."""
    if entry.paused_at or (entry.resumed_at and due_at <= entry.resumed_at):
        return str(Missed.PAUSED)
    late_by = now - due_at
    if is_over and late_by > ON_TIME:
        # Of an entry that is changed because it was wrong, nothing is caught up.
        return str(Missed.CHANGED)
    if not definition.fires_each and not is_last:
        return str(Missed.SUPERSEDED)
    longest = definition.longest_delay
    return str(Missed.LATE) if longest is not None and late_by > longest else ""


def _fire(entry: ScheduleEntry, definition: Definition, due_at: datetime, outcome: Decided, *, is_own: bool) -> None:
    try:
        # A refusal undoes what was written for this task alone.
        with database.atomic():
            task_id = fire(entry.name, definition, due_at)
    except DataError as error:
        _refuse(entry, due_at, outcome, error)
    except (DatabaseError, InterfaceError):
        raise
    except Exception as error:  # whatever a task's class or a signal's receiver raises
        if not is_own:
            raise Unknown(str(error)) from error
        _refuse(entry, due_at, outcome, error)
    else:
        slots.fired(entry.name, due_at, task_id)
        faults.point("schedule.fired")
        outcome.fired[due_at] = task_id


def _refuse(entry: ScheduleEntry, due_at: datetime, outcome: Decided, error: Exception) -> None:
    slots.refused(entry.name, due_at, f"{type(error).__name__}: {error}".replace("\0", ""))
    outcome.missed[due_at] = str(Missed.REFUSED)
    logger.error("Could not enqueue what is due of %s: %s", entry.name, error, exc_info=error)
