"""What Debian's cron does, minute by minute: its main loop, written anew from cron.c and cron(8), with no library.

It knows nothing of routing/schedule/timing.py: it walks through real minutes, reads the clock, and runs what matches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
LATE, CORRECTION = 5, 180
"""Minutes: below, cron was only late; from three hours on, somebody has set the clock."""
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@dataclass(frozen=True)
class Job:
    """A line of a crontab; of its two day fields, one has a star at most."""

    fields: tuple[frozenset[int], ...]
    is_wild: bool

    @classmethod
    def of(cls, line: str) -> "Job":
        texts = line.split()
        fields = tuple(frozenset(_field(text, *bounds)) for text, bounds in zip(texts, RANGES, strict=True))
        return cls(fields, texts[0].startswith("*") or texts[1].startswith("*"))

    def matches(self, clock: datetime) -> bool:
        minutes, hours, days, months, weekdays = self.fields
        return (
            clock.minute in minutes
            and clock.hour in hours
            and clock.month in months
            and clock.day in days
            and clock.isoweekday() % 7 in weekdays
        )


def _field(text: str, low: int, high: int) -> Iterator[int]:
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        yield from range(int(first), int(last or first) + 1, int(step or 1))


def runs(jobs: dict[str, Job], zone: ZoneInfo, start: datetime, end: datetime) -> dict[str, set[datetime]]:
    """When cron would run each, after ``start`` and up to ``end``, which are whole minutes in UTC."""
    found: dict[str, set[datetime]] = {line: set() for line in jobs}
    virtual = _clock(start, zone)
    now = start
    while now < end:
        now += MINUTE
        clock = _clock(now, zone)
        virtual, looks = _wake(clock, virtual)
        for shown, wild, fixed in looks:
            for line, job in jobs.items():
                if (wild if job.is_wild else fixed) and job.matches(shown):
                    found[line].add(now)
    return found


def _clock(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _wake(clock: datetime, virtual: datetime) -> tuple[datetime, list[tuple[datetime, bool, bool]]]:
    """Cron's virtual time after this minute, and what it looks for: a time, and whether wild and fixed jobs."""
    passed = (clock - virtual) // MINUTE
    if 0 < passed <= LATE:
        return clock, [(virtual + number * MINUTE, True, True) for number in range(1, passed + 1)]
    if LATE < passed <= CORRECTION:
        # The clock was put forward: fixed jobs of the time that is skipped are run now.
        skipped = [(virtual + number * MINUTE, False, True) for number in range(1, passed + 1)]
        return clock, [(clock, True, False), *skipped]
    if -CORRECTION < passed <= 0:
        # It was put back: fixed jobs have run already, and wait until virtual time is reached again.
        return virtual, [(clock, True, False)]
    return clock, [(clock, True, True)]


def minute_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)
