"""The last 24 hours by domain and queue, as whoever keeps the counts of them tells: ``TASKYARD_HISTORY`` names it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.module_loading import import_string


@dataclass(frozen=True)
class Day:
    """A figure for each hour, the oldest first; None where nothing ran, so that nothing waited or ran for long."""

    finished: Sequence[int]
    failed: Sequence[int]
    waits: Sequence[timedelta | None]
    """95 of 100 tasks began no later than this after they could."""
    runs: Sequence[timedelta | None]
    """95 of 100 tasks ran no longer than this."""
    p95_wait: timedelta | None = None
    """Of all hours together."""
    p95_run: timedelta | None = None


@dataclass(frozen=True)
class PastDay:
    """``reached``: the key of the last result that is counted, and ``until``: all recorded by then are."""

    hours: Sequence[datetime] = ()
    domains: Mapping[str, Day] = field(default_factory=dict)
    queues: Mapping[str, Day] = field(default_factory=dict)
    reached: int = 0
    until: datetime | None = None


def past_day() -> PastDay:
    """Empty where nobody keeps counts. Raises what the database raises."""
    if not settings.TASKYARD_HISTORY:
        return PastDay()
    found: PastDay = import_string(settings.TASKYARD_HISTORY)()
    return found
