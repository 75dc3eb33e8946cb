"""Where the schedule was not kept lately: due times that were missed, or fired more than a minute late."""

import time
from collections.abc import Callable
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

MANY = 20_000
"""Slots in that time, of which each probe would have to read every one."""
KEPT_FOR = 20.0
"""Seconds for which an answer is then given again."""


@dataclass(frozen=True, slots=True)
class Lapse:
    """How often an entry was missed and late, and the last due time of each. Not what people paused."""

    missed: int
    late: int
    last_missed: ScheduleSlot | None
    last_late: ScheduleSlot | None


class Lately:
    """By entry, those of which anything was missed or late since somebody last ran it by hand.

    Where there are many slots, as it was up to ``KEPT_FOR`` seconds ago. Safe from any thread.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, many: int = MANY) -> None:
        self._clock = clock
        self._many = many
        self._kept: tuple[float, dict[str, Lapse]] | None = None

    def __call__(self) -> dict[str, Lapse]:
        now = database.now()
        if not _are_more_than(self._many, since=now - MISSED_WITHIN):
            self._kept = None
            return _read(now)
        kept = self._kept
        if kept is None or self._clock() - kept[0] >= KEPT_FOR:
            kept = self._kept = self._clock(), _read(now)
        return kept[1]


lately = Lately()


def _are_more_than(many: int, *, since: datetime) -> bool:
    """By the numbers of the first and the last of them, without counting."""
    of = "SELECT id FROM routing_scheduleslot WHERE due_at >= %s ORDER BY due_at"
    (row,) = database.rows(
        f"SELECT ({of} LIMIT 1) AS first, ({of} DESC LIMIT 1) AS last", [database.parameter(since)] * 2
    )
    return row["first"] is not None and row["last"] - row["first"] > many


def _read(now: datetime) -> dict[str, Lapse]:
    found = _counted(now)
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


def _counted(now: datetime) -> list[dict[str, Any]]:
    # Asked with each probe. SQLite works out lateness slowly, so only for the rows that the rest leaves.
    missed = ~Q(missed="")
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
