"""The tasks of the reporting domain."""

from celery import shared_task


@shared_task(name="reporting.weekly")
def weekly() -> None:
    """Placeholder until the report itself."""
