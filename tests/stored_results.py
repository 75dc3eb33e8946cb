"""Results of tasks as workers store them, at whatever time a test needs."""

from datetime import datetime, timedelta
from uuid import uuid4

from celery import states
from django_celery_results.models import TaskResult


def store(
    task: str | None = "notifications.send_email",
    *,
    done_at: datetime,
    status: str = states.SUCCESS,
    took: timedelta | None = timedelta(seconds=1),
    created_at: datetime | None = None,
) -> TaskResult:
    """One row. ``took=None`` for a task that never started."""
    row = TaskResult.objects.create(task_id=str(uuid4()), task_name=task, status=status)
    # Django fills in these two times itself, unless an UPDATE does.
    TaskResult.objects.filter(pk=row.pk).update(
        date_created=created_at or done_at - (took or timedelta()),
        date_started=done_at - took if took is not None else None,
        date_done=done_at,
    )
    return row
