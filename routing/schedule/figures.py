"""The schedule in figures, for whoever exports metrics: one reading, from two queries of the database."""

from dataclasses import dataclass

from routing.schedule import lapses, operating
from routing.schedule.lapses import Lapse

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


def figures() -> list[Figures]:
    """Of each entry, by name. Raises what the database raises."""
    lately = lapses.lately()
    return [_of(plan, lately.get(plan.entry.name, NONE)) for plan in operating.plans()]


def _of(plan: operating.Plan, lapse: Lapse) -> Figures:
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
