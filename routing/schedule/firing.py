"""Enqueue an entry's task, in the transaction that takes its due time."""

from datetime import datetime

from celery import current_app
from django.utils.translation import gettext as _

from routing.schedule.definition import Definition, Unknown


def fire(name: str, definition: Definition, due_at: datetime) -> str:
    """The id of the task. Raises Unknown, and what ``apply_async`` raises."""
    task = current_app.tasks.get(definition.task)
    if task is None:
        raise Unknown(_("This release has no task %(name)s.") % {"name": repr(definition.task)})
    options = definition.options
    # From the first of these the entry gets into the result's row; Celery's own beat sets the second.
    headers = {
        **(options.get("headers") or {}),
        "periodic_task_name": name,
        "celery_beat_task": True,
        "scheduled_for": due_at.isoformat(),
    }
    sent = task.apply_async(tuple(definition.args), dict(definition.kwargs), **{**options, "headers": headers})
    return str(sent.id)
