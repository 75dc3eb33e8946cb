"""Causes of failures as people see them: what failed and how, how often in each hour, and who has noted what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db.models import Count, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from routing.console.number_words import grouped
from routing.console.searching.limit import TookTooLong, time_limit
from routing.ledger import causes, database
from routing.ledger.bounded import AtLeast, total
from routing.ledger.causes import HOURS, Cause, Causes
from routing.ledger.job_tables import CauseNote, Job
from routing.ledger.tables import DeadLetter

SECONDS = 2.0
"""For all that is counted; it takes far less, unless the database is at its limits."""
BAR_HEIGHT = 24


@dataclass(frozen=True)
class Bar:
    """A rectangle of the drawing, and what it says when pointed at."""

    x: int
    y: float
    height: float
    words: str


@dataclass(frozen=True)
class Trend:
    """How many were set aside in each hour, the oldest first."""

    counts: Sequence[int]

    @cached_property
    def bars(self) -> list[Bar]:
        most = max(self.counts, default=0) or 1
        heights = [max(BAR_HEIGHT * count / most, 1.5) if count else 0.5 for count in self.counts]
        return [
            Bar(number * 5, round(BAR_HEIGHT - height, 2), round(height, 2), _hour(count, HOURS - number))
            for number, (count, height) in enumerate(zip(self.counts, heights, strict=True))
        ]

    def __str__(self) -> str:
        """In one sentence, for whoever does not see the bars."""
        day, hour = total(self.counts), self.counts[-1]
        return _("%(day)s in the last 24 hours, %(hour)s of them in the last one") % {
            "day": counted(day),
            "hour": counted(hour),
        }


@dataclass(frozen=True)
class CauseRow:
    cause: Cause
    sample: DeadLetter | None
    trend: Trend
    notes: int
    job: Job | None

    @property
    def task(self) -> str:
        return (self.sample.task if self.sample else "") or _("no task")

    @property
    def error(self) -> str:
        """Its first line."""
        if self.sample is None:
            return ""
        return (self.sample.error or str(self.sample.get_reason_display())).strip().partition("\n")[0]

    @property
    def letters(self) -> str:
        return counted(self.cause.count)

    @property
    def url(self) -> str:
        return cause_url(self.cause.fingerprint) if self.cause.fingerprint else ""


@dataclass(frozen=True)
class CauseList:
    rows: list[CauseRow]
    found: Causes
    stopped: bool = False

    @property
    def sentence(self) -> str:
        if not self.found.letters:
            return "" if self.stopped else _("No dead letter is open.")
        letters = ngettext("%(n)s open dead letter", "%(n)s open dead letters", self.found.letters)
        of = ngettext("of %(n)s cause", "of %(n)s causes", self.found.count)
        return f"{capfirst(letters % {'n': counted(self.found.letters)})} {of % {'n': counted(self.found.count)}}."

    @property
    def left_out(self) -> int:
        return 0 if isinstance(self.found.count, AtLeast) else self.found.count - len(self.rows)


def cause_list() -> CauseList:
    try:
        with time_limit(SECONDS):
            found = causes.causes()
    except TookTooLong:
        return CauseList([], Causes(), stopped=True)
    return CauseList(rows(found.shown), found)


def rows(shown: Sequence[Cause]) -> list[CauseRow]:
    """A few queries for all of them together."""
    names = [each.fingerprint for each in shown]
    samples = _letters().only("task", "reason", "error", "fingerprint").in_bulk([each.newest for each in shown])
    trends = hours(names)
    noted = dict(_notes().filter(fingerprint__in=names).values_list("fingerprint").annotate(Count("pk")))
    at_work = {job.fingerprint: job for job in _jobs().filter(fingerprint__in=names, state=Job.State.OPEN)}
    return [
        CauseRow(
            each,
            samples.get(each.newest),
            Trend(trends[each.fingerprint]),
            noted.get(each.fingerprint, 0),
            at_work.get(each.fingerprint) if each.fingerprint else None,
        )
        for each in shown
    ]


def hours(fingerprints: Sequence[str], *, now: datetime | None = None) -> dict[str, list[int]]:
    """As the ledger counts them; nothing where that takes too long."""
    try:
        with time_limit(SECONDS):
            return causes.hours(fingerprints, now=now or timezone.now())
    except TookTooLong:
        return {fingerprint: [0] * HOURS for fingerprint in fingerprints}


def counted(count: int) -> str:
    """Such as “1,204”, or “at least 10,000” where counting stopped."""
    return _("at least %(count)s") % {"count": grouped(count)} if isinstance(count, AtLeast) else grouped(count)


def cause_url(fingerprint: str) -> str:
    return reverse("admin:routing_deadletter_cause", args=[fingerprint])


def letters_url(fingerprint: str, *, state: str) -> str:
    query = urlencode({"q": fingerprint, "state__exact": state})
    return f"{reverse('admin:routing_deadletter_changelist')}?{query}"


def _hour(count: int, ago: int) -> str:
    if ago == 1:
        return _("%(count)s in the last hour") % {"count": counted(count)}
    return _("%(count)s from %(from)d to %(to)d hours ago") % {"count": counted(count), "from": ago, "to": ago - 1}


def _letters() -> "QuerySet[DeadLetter]":
    return DeadLetter.objects.using(database.using())


def _notes() -> "QuerySet[CauseNote]":
    return CauseNote.objects.using(database.using())


def _jobs() -> "QuerySet[Job]":
    return Job.objects.using(database.using())
