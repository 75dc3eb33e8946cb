"""The project's settings, with the tasks of the chaos run and a schedule that fires all the time."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos"]
CELERY_BEAT_SCHEDULE = {"every-second": {"task": "maintenance.chaos_fired", "schedule": 1.0}}
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_IMPORTS = ["tests.chaos.releases"]
