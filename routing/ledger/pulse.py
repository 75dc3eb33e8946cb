"""The pulse: how full each queue was at its worst in each hour, noted by relays about every minute."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from routing.domains import registry
from routing.ledger import database, figures, processes
from routing.ledger.figures import Figures, Line
from routing.ledger.loads import Load
from routing.ledger.pulse_tables import QueueHour
from routing.ledger.tables import Process

KEPT = timedelta(days=3)
HOURS = 24
LONGEST = 4_000
"""Milliseconds for a statement."""


def take() -> None:
    """Safe to call again, and with several at once: of each figure the hour keeps the worst.

    It reads every task in flight.
    """
    now, seen, workers = database.now(), _figures().queues, workers_by_queue()
    begins = whole_hour(now)
    for queue in registry().pools:
        _note(begins, queue, seen.get(queue, Line(Load())), workers[queue])
    rows().filter(hour__lt=begins - KEPT).delete()


def past_day(now: datetime) -> list[QueueHour]:
    return list(rows().filter(hour__in=hours(now)))


def hours(now: datetime) -> list[datetime]:
    """The beginnings of the last 24 hours, the present one included, the oldest first."""
    last = whole_hour(now)
    return [last - timedelta(hours=ago) for ago in reversed(range(HOURS))]


def whole_hour(moment: datetime) -> datetime:
    """The hour of UTC that it falls in begins then."""
    return moment - timedelta(seconds=moment.timestamp() % 3600)


def workers_by_queue() -> Counter[str]:
    """How many workers of each queue beat lately."""
    found = processes.beating(Process.Role.WORKER).values_list("queues", flat=True)
    return Counter(queue for queues in found for queue in _names(queues))


def _figures() -> Figures:
    if not database.on_postgresql():
        return figures.read()
    with database.atomic():
        # Whoever takes the pulse has other duties, which do not wait for a table of any size.
        database.execute("SELECT set_config('statement_timeout', %s, true)", [str(LONGEST)])
        return figures.read()


def _names(stored: str) -> Iterable[str]:
    names: Iterable[str] = json.loads(stored)
    return names


def _note(hour: datetime, queue: str, line: Line, workers: int) -> None:
    most, least = ("GREATEST", "LEAST") if database.on_postgresql() else ("MAX", "MIN")
    worst = ", ".join(f"{name} = {most}(seen.{name}, excluded.{name})" for name in ("waiting", "wait", "running"))
    database.execute(
        "INSERT INTO routing_queuehour AS seen (hour, queue, waiting, wait, running, workers) "
        f"VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (hour, queue) DO UPDATE SET {worst}, "
        f"workers = {least}(seen.workers, excluded.workers)",
        [database.parameter(hour), queue, line.due, line.wait, line.load.running, workers],
    )


def rows() -> "QuerySet[QueueHour, Any]":
    return QueueHour.objects.using(database.using())
