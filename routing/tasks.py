"""Housekeeping: tasks of the maintenance domain whose code lives here."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.utils import timezone

from routing.ledger import retention

BUDGET = timedelta(minutes=10)
"""Well below the domain's soft time limit. What is left over goes the next night."""


@shared_task(name="maintenance.cleanup")
def cleanup() -> dict[str, Any]:
    """Prune what is past its retention. Safe to call again, also twice at once."""
    return retention.prune(now=timezone.now(), budget=BUDGET, whole=False).as_json()


@shared_task(name="maintenance.do_job")
def do_job(*, job_id: int, turn: int) -> str:
    """Carry on what somebody asked to be done to many rows. Safe to call again, also twice at once."""
    # What jobs may do reaches into every part, and no worker is to load that before it has one to do.
    from routing.console.jobs import carrying

    return carrying.carry_on(job_id, turn=turn)
