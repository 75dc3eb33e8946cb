"""Build a run: one edition for each choice of domains and language that somebody waits for, and its files.

Nothing is locked. Two that build at once read the same results, the first to store an edition wins by its unique row,
and both go on with that one. A build that dies leaves a run without the edition, which the next one builds.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from reporting.documents.document import Document
from reporting.periods import Period
from reporting.reports.shape import Report
from reporting.runs import files
from reporting.runs.tables import Choice, ReportEdition, ReportRun
from routing import faults

logger = logging.getLogger(__name__)
State = ReportRun.State

EVERYTHING = Choice()


def ensure(
    report: Report,
    period: Period,
    *,
    now: datetime,
    choices: Iterable[Choice] = (EVERYTHING,),
    newer_than: datetime | None = None,
) -> ReportRun:
    """The run of a period that is over, with these editions; what there is already stays as it is. Safe to call again.

    ``newer_than``: an edition from before is built again, where a report tells how things are and not how they were.
    """
    run, _new = ReportRun.objects.get_or_create(report=report.name, period=str(period), defaults={"built_at": now})
    faults.point("report.begun")
    there = {edition.choice: edition for edition in run.editions.all()}
    for choice in sorted(choices):
        found = there.get(choice)
        if found is None:
            _store(run, choice, _built(report, period, run=run, now=now, choice=choice), report=report, now=now)
        elif newer_than is not None and found.built_at < newer_than:
            _renew(found, _built(report, period, run=run, now=now, choice=choice), report=report, now=now)
        elif not found.files:
            files.keep(found)
    begun = ReportRun.objects.filter(pk=run.pk, state__in=(State.BUILDING, State.FAILED))
    begun.update(state=State.BUILT, built_at=now, progress=100, step="", problem="")
    run.refresh_from_db()
    return run


def rebuild(report: Report, period: Period, *, now: datetime) -> ReportRun:
    """Build every edition there is anew, which then says that it was corrected. Safe to call again."""
    run = ensure(report, period, now=now)
    for edition in run.editions.all():
        document = _built(report, period, run=run, now=now, choice=edition.choice)
        if run.state not in (State.BUILT, State.NO_RECIPIENTS):
            document = _corrected(document, now)
            ReportRun.objects.filter(pk=run.pk).update(corrected_at=now)
        _renew(edition, document, report=report, now=now)
    ReportRun.objects.filter(pk=run.pk).update(built_at=now, progress=100, step="", problem="")
    run.refresh_from_db()
    return run


def fail(report: str, period: str, error: BaseException) -> bool:
    """Leave word why it could not be built; what is built already is not touched by that. Whether that is news."""
    words = f"{type(error).__name__}: {error}".replace("\0", "")[:2_000]
    run = ReportRun.objects.filter(report=report, period=period)
    is_news = run.exclude(problem=words).update(problem=words) == 1 or not run.exists()
    run.filter(state=State.BUILDING).update(state=State.FAILED)
    return is_news


def chosen(domains: str) -> frozenset[str] | None:
    """As reports take them; None is all."""
    return frozenset(domains.split(",")) if domains else None


def _built(report: Report, period: Period, *, run: ReportRun, now: datetime, choice: Choice) -> Document:
    def tell(done: float, what: Any) -> None:
        # Kept below 100, which says that it is done.
        ReportRun.objects.filter(pk=run.pk).update(progress=min(int(done * 100), 99), step=str(what)[:200])
        faults.point("report.building")

    with translation.override(choice.language):
        return report.build(period, now=now, domains=chosen(choice.domains), progress=tell)


def _store(run: ReportRun, choice: Choice, document: Document, *, report: Report, now: datetime) -> None:
    edition, is_new = ReportEdition.objects.get_or_create(
        run=run,
        **choice._asdict(),
        defaults={
            "document": document.as_json(),
            "worth_sending": report.is_worth_sending(document),
            "built_at": now,
        },
    )
    faults.point("report.stored")
    if is_new or not edition.files:
        files.keep(edition)
    ReportRun.objects.filter(pk=run.pk).update(progress=100, step="")
    logger.info("%s%s: %s", run, f" ({edition})" if choice != EVERYTHING else "", document.verdict)


def _renew(edition: ReportEdition, document: Document, *, report: Report, now: datetime) -> None:
    edition.document, edition.built_at = document.as_json(), now
    edition.worth_sending = report.is_worth_sending(document)
    edition.save(update_fields=["document", "built_at", "worth_sending"])
    files.keep(edition)


def _corrected(document: Document, now: datetime) -> Document:
    with translation.override(document.language):
        day = date_format(timezone.localtime(now), "j F Y, H:i")
        note = _("Corrected: these figures were computed anew on %(day)s.") % {"day": day}
    return replace(document, notes=(note, *document.notes))
