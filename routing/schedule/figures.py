"""The schedule in figures, for whoever exports metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery

from routing.ledger import slots
from routing.schedule.lapses import Lapse
from routing.schedule.operating import Plan

NONE = Lapse(0, 0, None, None)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one entry, as gauges: none of them only grows, because slots are pruned."""

    entry: str
    is_paused: bool
    is_broken: bool
    next_due_at: float | None
    """Seconds since 1970. In the past while it is due and no beat has come to it."""
    overdue_seconds: float
    """Above 0 while it has been due for more than a minute."""
    missed: int
    """Due times of the last three days; 0 again as soon as somebody has run it by hand."""
    late: int
    """Due times of the last day that were fired more than a minute late."""
    last_late_seconds: float
    """By how much the last of those was late."""


def figures(plans: Sequence[Plan], lately: Mapping[str, Lapse]) -> list[Figures]:
    """Of each of these entries, in their order."""
    return [_of(plan, lately.get(plan.entry.name, NONE)) for plan in plans]


def last_fired() -> dict[str, datetime]:
    """By entry, when it was last fired, be it by hand; those that never were, and those whose slots are gone, left out.

    Raises what the database raises.
    """
    newest = slots.slots().filter(entry=OuterRef("name"), missed="").order_by("-due_at").values("decided_at")[:1]
    known = slots.entries().filter(removed_at=None).annotate(fired_at=Subquery(newest))
    return dict(known.exclude(fired_at=None).values_list("name", "fired_at"))


def _of(plan: Plan, lapse: Lapse) -> Figures:
    late = lapse.last_late
    return Figures(
        entry=plan.entry.name,
        is_paused=plan.is_paused,
        is_broken=plan.definition is None,
        next_due_at=plan.next_due.timestamp() if plan.next_due else None,
        overdue_seconds=0.0 if plan.is_paused else plan.late_by.total_seconds(),
        missed=lapse.missed,
        late=lapse.late,
        last_late_seconds=(late.decided_at - late.due_at).total_seconds() if late else 0.0,
    )
