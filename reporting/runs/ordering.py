"""A report because somebody asks for it now: to all who are subscribed, to some addresses, or built anew."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from uuid import uuid4

from django.db.models import QuerySet
from django.utils import translation

from reporting.documents.document import Document
from reporting.periods import Period
from reporting.reports.shape import Report
from reporting.runs import building, dispatching, letters, sending
from reporting.runs.tables import ReportEdition
from reporting.subscribing import choosing
from reporting.subscribing.tables import Subscription

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of it; ``sent_before`` counts the recipients who had theirs already."""

    report: str
    period: str
    verdict: str
    recipients: int
    sent: int
    sent_before: int = 0

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def send_now(report: Report, period: Period, *, now: datetime) -> Outcome:
    """To each who is subscribed and has not had it, whatever their hour. Safe to call again.

    A period that is not over has figures so far only: those go to everybody, as often as asked, and are not kept.
    Raises NoSuchPeriod for one that has not begun.
    """
    subscribed = choosing.active().filter(report=report.name)
    if not period.is_over(now) and not dispatching.is_live(report, now):
        return _send_so_far(report, period, subscribed, now=now)
    wanted = {building.EVERYTHING, *sending.choices_of(subscribed)}
    newer_than = now if dispatching.is_live(report, now) else None
    run = building.ensure(report, period, now=now, choices=wanted, newer_than=newer_than)
    sent = sending.send_to_all(run)
    dispatching.conclude(report, run, period, now=now)
    recipients, mailed = subscribed.count(), run.deliveries.exclude(enqueued_at=None).count()
    verdict = read(report, period, now=now).verdict
    logger.info("%s: %d of %d recipients sent. %s", run, sent, recipients, verdict)
    return Outcome(report.name, str(period), verdict, recipients, sent, mailed - sent)


def send_due(report: Report, period: Period, *, now: datetime) -> Outcome:
    """Build it, whether or not anybody is subscribed, and send it to those whose hour has come. Safe to call again."""
    run = building.ensure(report, period, now=now)
    sent = sum(done.sent for done in dispatching.serve(report, period, now=now))
    dispatching.conclude(report, run, period, now=now)
    mailed = run.deliveries.exclude(enqueued_at=None).count()
    verdict = read(report, period, now=now).verdict
    return Outcome(report.name, str(period), verdict, mailed, sent, mailed - sent)


def send_to(
    report: Report,
    period: Period,
    addresses: Sequence[str],
    *,
    now: datetime,
    domains: str = "",
    attached: str = "",
    language: str = "en",
) -> Outcome:
    """To these addresses, also to those that have had it. Raises NoSuchPeriod for one that has not begun."""
    document = read(report, period, now=now, domains=domains, language=language)
    letter = letters.of_document(document, attached=attached)
    # What somebody asks for is no mailing: it goes ahead of those, and each time is one of its own.
    mails = {}
    for address in addresses:
        task_id = str(uuid4())
        key = f"{letters.key(report.name, str(period), address)}:{task_id}"
        mails[task_id] = letter.kwargs(address, key=key, lane="default")
    letters.send(mails)
    return Outcome(report.name, str(period), document.verdict, len(addresses), len(addresses))


def _send_so_far(report: Report, period: Period, subscribed: "QuerySet[Subscription]", *, now: datetime) -> Outcome:
    """Of all domains, to each in their language."""
    people: dict[str, list[str]] = {building.EVERYTHING.language: []}
    for email, language in subscribed.values_list("email", "language"):
        people.setdefault(language, []).append(email)
    told = [send_to(report, period, some, now=now, language=language) for language, some in people.items()]
    sent = sum(outcome.sent for outcome in told)
    return replace(told[0], recipients=sent, sent=sent)


def read(report: Report, period: Period, *, now: datetime, domains: str = "", language: str = "en") -> Document:
    """What was kept when it was built; else built afresh, and not kept. Raises NoSuchPeriod."""
    of_period = ReportEdition.objects.filter(run__report=report.name, run__period=str(period))
    kept = of_period.filter(domains=domains, language=language).first()
    if kept and not dispatching.is_live(report, now):
        return Document.from_json(kept.document)
    with translation.override(language):
        return report.build(period, now=now, domains=building.chosen(domains))
