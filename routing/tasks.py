"""Housekeeping: tasks of the maintenance domain whose code lives here."""

from celery import shared_task


@shared_task(name="maintenance.cleanup")
def cleanup() -> None:
    """Placeholder until the clean-up itself."""
