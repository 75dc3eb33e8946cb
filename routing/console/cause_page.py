"""One cause of failures as a page to read: how often it strikes, a sample, its letters, and what people noted."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from routing.console import page_parts
from routing.console.cause_rows import SECONDS, Trend, hours, letters_url
from routing.console.page_parts import Value
from routing.console.searching.limit import TookTooLong, time_limit
from routing.ledger import causes, database
from routing.ledger.causes import Cause
from routing.ledger.job_tables import CauseNote, Job
from routing.ledger.tables import DeadLetter

LETTERS = 10
"""The newest; the list has all."""
JOBS = 5


@dataclass(frozen=True)
class CausePage:
    """``cause`` is None where nothing of it is open; ``counted`` is false where counting took too long."""

    fingerprint: str
    sample: DeadLetter
    cause: Cause | None
    counted: bool
    trend: Trend
    values: list[Value]
    letters: list[DeadLetter]
    discarded: bool
    notes: list[CauseNote]
    jobs: list[Job]

    @property
    def task(self) -> str:
        return self.sample.task or _("no task")

    @property
    def error(self) -> str:
        return self.sample.error or str(self.sample.get_reason_display())

    @property
    def open_url(self) -> str:
        return letters_url(self.fingerprint, state=DeadLetter.State.OPEN)

    @property
    def discarded_url(self) -> str:
        return letters_url(self.fingerprint, state=DeadLetter.State.DISCARDED)

    @property
    def seen(self) -> list[tuple[str, datetime]]:
        if self.cause is None:
            return []
        return [(_("First seen"), self.cause.first_at), (_("Last seen"), self.cause.last_at)]

    @property
    def at_work(self) -> Job | None:
        return next((job for job in self.jobs if job.state == Job.State.OPEN), None)


def cause_page(fingerprint: str) -> CausePage | None:
    """None where no letter has this fingerprint, and nobody can tell what it was."""
    # The newest that is open; else of those that somebody has decided about.
    newest = causes.open_letters(fingerprint).reverse()
    letters = list(_listed(newest)[:LETTERS])
    sample = newest.defer("raw", "body").first() or _all(fingerprint).order_by("-dead_at").defer("raw", "body").first()
    if not fingerprint or sample is None:
        return None
    cause, counted = _counted(fingerprint)
    return CausePage(
        fingerprint=fingerprint,
        sample=sample,
        cause=cause,
        counted=counted,
        trend=Trend(hours([fingerprint])[fingerprint]),
        values=[page_parts.traceback(_("Traceback"), sample.traceback)] if sample.traceback else [],
        letters=letters,
        discarded=_all(fingerprint).filter(state=DeadLetter.State.DISCARDED).exists(),
        notes=list(CauseNote.objects.using(database.using()).filter(fingerprint=fingerprint).order_by("-pk")),
        jobs=list(Job.objects.using(database.using()).filter(fingerprint=fingerprint).order_by("-pk")[:JOBS]),
    )


def _counted(fingerprint: str) -> tuple[Cause | None, bool]:
    try:
        with time_limit(SECONDS):
            return causes.cause(fingerprint), True
    except TookTooLong:
        return None, False


def _all(fingerprint: str) -> "QuerySet[DeadLetter]":
    return DeadLetter.objects.using(database.using()).filter(fingerprint=fingerprint)


def _listed(letters: "QuerySet[DeadLetter]") -> "QuerySet[DeadLetter]":
    return letters.only("task", "task_id", "queue", "error", "dead_at", "reason")
