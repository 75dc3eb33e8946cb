"""The tasks of the reporting domain: doors, with the rooms elsewhere."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.utils import timezone

from reporting import weekly as report
from reporting.rollups import gathering
from reporting.weeks import Week
from routing.ledger import lookup

BUDGET = timedelta(minutes=10)
"""Of a roll-up that has a long way to go; the next one goes on."""


@shared_task(name="reporting.weekly", bind=True)
def weekly(self: Any, week: str | None = None) -> dict[str, object]:
    """Send the report of ``week``, such as ``2026-W46``; without one, of the week before it was enqueued.

    Safe to call again: each recipient is sent a week's report once.
    """
    wanted = Week.parse(week) if week else Week.of(_enqueued_at(self.request.id)).previous()
    return report.send(wanted, now=timezone.now()).as_json()


@shared_task(name="maintenance.roll_up")
def roll_up() -> dict[str, object]:
    """Count what has been recorded since the last time into the hours' roll-ups. Safe to call again."""
    return gathering.roll_up(budget=BUDGET).as_json()


def _enqueued_at(task_id: str | None) -> Any:
    """A report that waited in the queue past midnight, or for a week, is still about the week it was meant for."""
    message = lookup.in_flight(task_id) if task_id else None
    return message.created_at if message else timezone.now()
