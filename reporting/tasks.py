"""The tasks of the reporting domain: doors, with the rooms elsewhere."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.utils import timezone

from reporting.rollups import gathering
from routing import pinging
from routing.ledger import lookup

BUDGET = timedelta(minutes=10)
"""Of a roll-up that has a long way to go; the next one goes on."""


@shared_task(name="reporting.weekly", bind=True)
def weekly(self: Any, week: str | None = None) -> dict[str, object]:
    """Send the report of ``week``, such as ``2026-W46``, to each who has not had it.

    Without one: build that of the week before it was enqueued, and send it to those whose hour has come.
    Safe to call again: each recipient is sent a week's report once.
    """
    from reporting import reports
    from reporting.runs import ordering

    report = reports.named("weekly")
    if week:
        return ordering.send_now(report, report.parse_period(week), now=timezone.now()).as_json()
    wanted = report.period_of(_enqueued_at(self.request.id))
    sent = ordering.send_due(report, wanted, now=timezone.now()).as_json()
    pinging.once(pinging.WEEKLY_REPORT)
    return sent


@shared_task(name="reporting.dispatch")
def dispatch() -> list[dict[str, object]]:
    """Build what somebody waits for, and send to those whose hour has come. Safe to call again."""
    from reporting.runs import dispatching

    return [done.as_json() for done in dispatching.dispatch(now=timezone.now())]


@shared_task(name="reporting.rebuild")
def rebuild(report: str, period: str) -> dict[str, object]:
    """Compute a report anew, which then says so. Safe to call again."""
    from reporting import reports
    from reporting.runs import building

    of = reports.named(report)
    run = building.rebuild(of, of.parse_period(period), now=timezone.now())
    return {"run": run.pk, "state": run.state}


@shared_task(name="reporting.resend")
def resend(run: int, number: int, addresses: list[str] | None = None) -> dict[str, object]:
    """Send it for the ``number``-th time to those who had it, or these of them. Safe to call again."""
    from reporting.models import ReportRun
    from reporting.runs import sending

    return {"sent": sending.send_again(ReportRun.objects.get(pk=run), number=number, addresses=addresses or ())}


@shared_task(name="reporting.preview")
def preview(
    report: str, period: str, to: str, domains: str = "", attached: str = "", language: str = "en"
) -> dict[str, object]:
    """Mail it to one address, as the others would get it now. Safe to call again, and sends again then."""
    from reporting import reports
    from reporting.runs import ordering

    of = reports.named(report)
    wanted = of.parse_period(period)
    choice = {"domains": domains, "attached": attached, "language": language}
    return ordering.send_to(of, wanted, [to], now=timezone.now(), **choice).as_json()


@shared_task(name="maintenance.roll_up")
def roll_up() -> dict[str, object]:
    """Count what has been recorded since the last time into the hours' roll-ups. Safe to call again."""
    return gathering.roll_up(budget=BUDGET).as_json()


def _enqueued_at(task_id: str | None) -> Any:
    """A report that waited in the queue past midnight, or for a week, is still about the week it was meant for."""
    message = lookup.in_flight(task_id) if task_id else None
    return message.created_at if message else timezone.now()
