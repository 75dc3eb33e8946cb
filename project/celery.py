"""The Celery application: ``celery -A project worker``, ``beat`` and ``flower`` find it here."""

import os

from routing.pipeline import Pipeline

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Pipeline("project", task_cls="routing.worker.task:Task")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
