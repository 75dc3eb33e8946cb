"""Settings of a beat that fires one task each second, however late."""

from project.settings import *  # noqa: F403

CELERY_BEAT_SCHEDULE = {"every-second": {"task": "maintenance.cleanup", "schedule": 1.0, "missed": "all"}}
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
