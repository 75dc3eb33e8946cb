"""The project's settings with the proof's schedule, of which there are two releases."""

import os

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

RELEASE = os.environ.get("PROOF_RELEASE", "A")
TASK = "maintenance.proved"

INSTALLED_APPS = [*INSTALLED_APPS, "tests.prove_schedule"]
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SCHEDULE = {
    "steady": {"task": TASK, "schedule": 1.0, "missed": "all"},
    "newest": {"task": TASK, "schedule": 2.0},
    "skipping": {"task": TASK, "schedule": 3.0, "missed": "skip"},
    "strict": {"task": TASK, "schedule": 2.0, "missed": "all", "deadline": 2},
    "changed": {"task": TASK, "schedule": {"A": 3.0, "B": 2.0}[RELEASE], "args": [RELEASE], "missed": "all"},
    "rearranged": {"task": TASK, "schedule": 2.0, "args": [RELEASE], "missed": "all"},
    {"A": "old-name", "B": "new-name"}[RELEASE]: {"task": TASK, "schedule": 2.0, "missed": "all"},
}
