"""The Celery application: ``celery -A project worker``, ``beat`` and ``flower`` find it here."""

import os
import warnings

from celery.platforms import SecurityWarning  # type: ignore[attr-defined]

from routing.pipeline import Pipeline

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Pipeline("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Celery warns of root because pickled messages could run anything; this project takes JSON alone.
warnings.filterwarnings("ignore", category=SecurityWarning)
