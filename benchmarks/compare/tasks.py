"""Two tasks that cost nothing, named into a real domain; ``--include`` gives them to its ordinary pool."""

import time

from celery import shared_task


@shared_task(name="notifications.noop")
def noop(number: int) -> None:
    pass


@shared_task(name="notifications.measure")
def measure(sent_at: float) -> float:
    """Seconds between the sender's call and this line: all processes of a machine share the monotonic clock."""
    return time.monotonic() - sent_at
