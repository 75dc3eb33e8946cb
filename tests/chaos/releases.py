"""Two releases of the code that run together: each has a task that the other one does not know."""

import os

from celery import shared_task

from routing.worker import unreadable
from tests.chaos.tasks import begin

RELEASES = ("odd", "even")


def task_of(release: str) -> str:
    return f"reporting.chaos_{release}"


def install() -> None:
    """Only this process's own release's task is registered; none outside a run of deploys."""
    if own := os.environ.get("TASKYARD_CHAOS_RELEASE"):

        @shared_task(name=task_of(own), bind=True)
        def known(self: object) -> str:
            begin(self)
            return own

    if pause := os.environ.get("TASKYARD_CHAOS_PAUSE"):
        # Half a minute is long for a test.
        unreadable.PAUSE = float(pause)


install()
