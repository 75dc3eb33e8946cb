"""Every few minutes: build what somebody waits for soon, and send to those whose hour has come.

What was missed while everything was down is found here as late as it is, and sent: what decides is that somebody was
due and has no row, not when this runs.
"""

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from reporting.periods import Period
from reporting.reports import reports
from reporting.reports.shape import Report
from reporting.runs import building, sending
from reporting.runs.sending import Due
from reporting.runs.tables import ReportRun
from reporting.subscribing import choosing, slots
from reporting.subscribing.slots import is_of_a_week

logger = logging.getLogger(__name__)
State = ReportRun.State

LEAD = timedelta(minutes=30)
"""So long before the first subscriber's hour it is built, and can be looked at."""
FRESH = timedelta(minutes=30)
"""A report that tells how things are is built again for those whose hour comes so much later."""
LOOK_BACK = 4
"""Weeks that are still sent late; of days, the one before."""


@dataclass(frozen=True)
class Dispatched:
    """``sent`` counts the mails that this call handed over."""

    report: str
    period: str
    state: str
    sent: int

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def dispatch(*, now: datetime) -> list[Dispatched]:
    """All reports. One that cannot be built holds up no other, and is raised in the end, where that is news.

    Safe to call again, and two at once. What is tried again every few minutes would otherwise fill the dead letters.
    """
    done: list[Dispatched] = []
    first: Exception | None = None
    for report in reports().values():
        for period in recent(report, now):
            try:
                done += serve(report, period, now=now)
            except Exception as error:
                # Whatever a section does wrong: others are waited for, too.
                logger.exception("%s %s could not be built or sent", report.name, period)
                done.append(Dispatched(report.name, str(period), State.FAILED, 0))
                if building.fail(report.name, str(period), error):
                    first = first or error
    if first:
        raise first
    return done


def recent(report: Report, now: datetime) -> list[Period]:
    """Those that may be owed to somebody, the oldest first."""
    found = [report.period_of(now)]
    for _ in range(LOOK_BACK - 1 if is_of_a_week(found[0]) else 1):
        found.append(found[-1].previous())
    return found[::-1]


def serve(report: Report, period: Period, *, now: datetime) -> Iterator[Dispatched]:
    """Nothing where nobody waits."""
    live = is_live(report, now)
    soon = [due for due in timetable(report, period, now=now) if due[0] <= now + (timedelta() if live else LEAD)]
    run = ReportRun.objects.filter(report=report.name, period=str(period)).first()
    wanted = sending.editions_wanted(run, soon, report=report.name)
    if not wanted:
        if run and run.state in (State.BUILT, State.SENDING):
            # Of one that died right after it had sent the last.
            conclude(report, run, period, now=now)
        return
    newer_than = now - FRESH if live else None
    run = building.ensure(report, period, now=now, choices=wanted, newer_than=newer_than)
    sent = sending.send(run, [due for due in soon if due[0] <= now])
    conclude(report, run, period, now=now)
    logger.info("%s: %d sent; it is %s", run, sent, run.get_state_display())
    yield Dispatched(report.name, str(period), run.state, sent)


def is_live(report: Report, now: datetime) -> bool:
    """Whether it tells how things are, and not how they were."""
    return not report.period_of(now).is_over(now)


def timetable(report: Report, period: Period, *, now: datetime) -> list[Due]:
    """When the period is due to those of each slot, the earliest first."""
    taken = list(slots.taken(report.name))
    if not is_live(report, now):
        return sorted((slot.due_after(period), slot) for slot in taken)
    if (today := report.period_of(now)) != period:
        # How things were is not told late to those who are told how they are.
        taken = [slot for slot in taken if slot.due_within(today) > now]
    return sorted((slot.due_within(period), slot) for slot in taken)


def conclude(report: Report, run: ReportRun, period: Period, *, now: datetime) -> None:
    """Say in its state how far it has come. Safe to call again."""
    still_to_come = timetable(report, period, now=now)
    mailed = run.deliveries.exclude(enqueued_at=None).exists()
    if any(some.exists() for some in sending.waiting(run, still_to_come, report=run.report)):
        state = State.SENDING if mailed else State.BUILT
    elif mailed:
        state = State.SENT
    elif run.deliveries.exists():
        state = State.QUIET
    else:
        state = State.NO_RECIPIENTS if not choosing.active().filter(report=run.report).exists() else State.BUILT
    ReportRun.objects.filter(pk=run.pk).exclude(state__in=(State.BUILDING, State.FAILED)).update(state=state)
    run.refresh_from_db()
