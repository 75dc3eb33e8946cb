"""The application, as Celery's documentation lays it out for Django."""

import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning  # type: ignore[attr-defined]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.stock.settings")

app = Celery("stock")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["benchmarks.stock"])

warnings.filterwarnings("ignore", category=SecurityWarning)
