"""The Celery application: ``celery -A project worker``, ``beat`` and ``flower`` find it here."""

import os
import warnings

from celery.platforms import SecurityWarning  # type: ignore[attr-defined]

from routing.pipeline import Pipeline

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Wherever task modules are imported Celery would run Django's checks, which load all pages of the web, and would heed
# nothing of what they find. manage.py heeds it.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Pipeline("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Celery warns of root because pickled messages could run anything; this project takes JSON alone.
warnings.filterwarnings("ignore", category=SecurityWarning)
