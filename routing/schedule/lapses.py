"""Where the schedule was not kept lately: due times that were missed, or fired more than a minute late."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, Q, Value
from django.db.models.functions import Coalesce

from routing.ledger import database, slots
from routing.ledger.schedule_tables import ScheduleSlot
from routing.schedule import operating

MISSED_WITHIN, LATE_WITHIN = timedelta(days=3), timedelta(days=1)
"""What was missed on Friday evening must be seen on Monday; what was only late has come in the end."""


@dataclass(frozen=True, slots=True)
class Lapse:
    """How often an entry was missed and late, and the last due time of each. Not what people paused."""

    missed: int
    late: int
    last_missed: ScheduleSlot | None
    last_late: ScheduleSlot | None


def lately() -> dict[str, Lapse]:
    """By entry, those of which anything was missed or late since somebody last ran it by hand."""
    found = _counted()
    moments = [row[key] for row in found for key in ("missed_at", "late_at") if row[key]]
    named = slots.slots().filter(entry__in=[row["name"] for row in found], due_at__in=moments)
    last = {(slot.entry, slot.due_at): slot for slot in named} if found else {}
    lapses = {row["name"]: _lapse(row, last) for row in found}
    # What was pruned between the two questions is no longer told.
    return {name: lapse for name, lapse in lapses.items() if lapse.last_missed or lapse.last_late}


def _lapse(row: dict[str, Any], last: dict[tuple[str, datetime], ScheduleSlot]) -> Lapse:
    return Lapse(
        missed=row["missed_count"],
        late=row["late_count"],
        last_missed=last.get((row["name"], row["missed_at"])),
        last_late=last.get((row["name"], row["late_at"])),
    )


def _counted() -> list[dict[str, Any]]:
    # Asked with each probe. SQLite works out lateness slowly, so only for the rows that the rest leaves.
    now, missed = database.now(), ~Q(missed="")
    late = Q(due_at__gte=now - LATE_WITHIN) & Q(decided_at__gt=F("due_at") + operating.LATE_AFTER)
    made_up_for = slots.slots().filter(entry=OuterRef("entry"), due_at__gt=OuterRef("due_at")).exclude(asked_by="")
    counted = (
        slots.slots()
        .filter(due_at__gte=now - MISSED_WITHIN, asked_by="")
        .exclude(missed=ScheduleSlot.Missed.PAUSED)
        .filter(missed | late)
        .filter(~Exists(made_up_for))
        # Grouped by a copy: by the column itself, SQLite reads all slots by entry, and not the last ones by time.
        .annotate(name=Coalesce("entry", Value("")))
        .values("name")
        .annotate(
            missed_count=Count("pk", filter=missed),
            late_count=Count("pk", filter=~missed),
            missed_at=Max("due_at", filter=missed),
            late_at=Max("due_at", filter=~missed),
        )
        .order_by()
    )
    return [dict(row) for row in counted]
