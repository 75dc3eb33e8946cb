"""Housekeeping: tasks of the maintenance domain whose code lives here."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from routing.ledger import retention


@shared_task(name="maintenance.cleanup")
def cleanup() -> dict[str, Any]:
    """Prune what is past its retention. Safe to call again, also twice at once."""
    return retention.prune(now=timezone.now()).as_json()
