"""What the start page says of a domain and of each of its queues: eight figures, each with its last 24 hours."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from routing.console.glance import Glance, Past
from routing.console.hour_lines import HourLine, count_words, second_words, time_words
from routing.console.number_words import grouped
from routing.console.time_words import short
from routing.domains import Targets
from routing.history import Day
from routing.ledger import pulse
from routing.ledger.figures import Line
from routing.ledger.loads import Load

UNKNOWN = "?"
NOTHING = "-"
HEADINGS = (
    (gettext_lazy("Waiting"), gettext_lazy("Tasks that may begin and have not")),
    (gettext_lazy("Oldest wait"), gettext_lazy("How long the first of them has waited")),
    (gettext_lazy("Running"), gettext_lazy("Tasks that a worker is at")),
    (gettext_lazy("Rate"), gettext_lazy("Tasks that ended in the last five minutes; the line: in each hour")),
    (gettext_lazy("Failed in 24 h"), gettext_lazy("Tasks that failed for good")),
    (gettext_lazy("p95 wait"), gettext_lazy("95 of 100 tasks of 24 hours began no later than this after they could")),
    (gettext_lazy("p95 run"), gettext_lazy("95 of 100 tasks of 24 hours ran no longer than this")),
    (gettext_lazy("Workers"), gettext_lazy("Worker pools that live; the line: the fewest of each hour")),
)


@dataclass(frozen=True)
class Figure:
    """``tone``: ``bad`` or ``look`` where it is not as it should be; ``aside``: what is to be said beside it."""

    words: str
    line: HourLine[Any]
    url: str = ""
    tone: str = ""
    aside: str = ""
    name: str | Promise = ""
    means: str | Promise = ""


@dataclass(frozen=True)
class Links:
    """Where figures lead to."""

    waiting: str
    running: str
    failed: str


class QueueFigures:
    """Of one queue, or of all that a domain has. Asks the database nothing."""

    def __init__(self, names: Sequence[str], day: Day | None, seen: Glance, *, targets: Targets) -> None:
        self._targets = targets
        self._is_known = seen.now is not None
        queues = seen.now.figures.queues if seen.now else {}
        self._lines = [queues.get(name, Line(Load())) for name in names]
        self._past = seen.past
        past = seen.past or Past()
        self.hours = past.day.hours or pulse.hours(timezone.now())
        empty = [0] * len(self.hours)
        self._day = day or Day(empty, empty, [None] * len(self.hours), [None] * len(self.hours))
        self._pulses = [each for each in past.pulses if each.queue in names]
        self._rate_now = sum(past.newest.per_minute.get(name, 0.0) for name in names)
        self.finished = _and_new(self._day.finished, sum(past.newest.finished.get(name, 0) for name in names))
        self.failed = _and_new(self._day.failed, sum(past.newest.failed.get(name, 0) for name in names))

    @property
    def waiting(self) -> int:
        return sum(line.due for line in self._lines)

    @property
    def later(self) -> int:
        """Those that have their time still to come."""
        return sum(line.later for line in self._lines)

    @property
    def running(self) -> int:
        return sum(line.load.running for line in self._lines)

    @property
    def wait(self) -> timedelta:
        return timedelta(seconds=max(line.wait for line in self._lines))

    def figures(self, links: Links, *, workers: str, workers_tone: str = "") -> list[Figure]:
        """In the order of HEADINGS."""
        running, failed = self._now(count_words(self.running)), sum(self.failed)
        found = [
            self._waiting(links),
            Figure(
                self._now(short(self.wait) if self.wait else NOTHING),
                self._worst("wait", max, second_words),
                tone=_beyond(self.wait, self._targets.wait),
            ),
            Figure(running, self._worst("running", sum, count_words), links.running if self.running else ""),
            Figure(self._rate(), HourLine(self.hours, self.finished, count_words)),
            Figure(
                count_words(failed) if self._past else UNKNOWN,
                HourLine(self.hours, self.failed, count_words),
                links.failed if failed else "",
                tone="bad" if failed else "",
            ),
            self._time(self._day.p95_wait, self._day.waits, self._targets.wait),
            self._time(self._day.p95_run, self._day.runs, self._targets.run),
            Figure(workers, self._worst("workers", sum, count_words), tone=workers_tone),
        ]
        return [
            Figure(each.words, each.line, each.url, each.tone, each.aside, name, means)
            for each, (name, means) in zip(found, HEADINGS, strict=True)
        ]

    def _waiting(self, links: Links) -> Figure:
        aside = _("+ %(count)s later") % {"count": count_words(self.later)} if self.later else ""
        line = self._worst("waiting", sum, count_words)
        return Figure(
            self._now(count_words(self.waiting)), line, links.waiting if self.waiting or self.later else "", aside=aside
        )

    def _now(self, words: str) -> str:
        return words if self._is_known else UNKNOWN

    def _rate(self) -> str:
        if self._past is None:
            return UNKNOWN
        if self._rate_now >= 600:
            return f"{grouped(self._rate_now / 60)}/s"
        digits = 0 if self._rate_now >= 9.95 or not self._rate_now else 1
        return f"{grouped(self._rate_now, places=digits)}/min"

    def _time(self, p95: timedelta | None, hours: Sequence[timedelta | None], target: timedelta | None) -> Figure:
        nothing = NOTHING if self._past else UNKNOWN
        line = HourLine(self.hours, hours, time_words)
        return Figure(short(p95) if p95 is not None else nothing, line, tone=_beyond(p95, target))

    def _worst(
        self, name: str, together: Callable[[Iterable[Any]], Any], say: Callable[[float], str]
    ) -> HourLine[float]:
        """Of the hours in which a relay looked."""
        found: dict[datetime, list[float]] = {}
        for each in self._pulses:
            found.setdefault(each.hour, []).append(getattr(each, name))
        return HourLine(self.hours, [together(found[hour]) if hour in found else None for hour in self.hours], say)


def _and_new(counted: Sequence[int], new: int) -> list[int]:
    """What nobody has counted yet came in this hour, or soon before."""
    return [*counted[:-1], counted[-1] + new]


def _beyond(length: timedelta | None, target: timedelta | None) -> str:
    return "look" if length is not None and target is not None and length > target else ""
