"""The weekly report: made once for each week, and sent once to each recipient."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import uuid4

from celery import current_app
from celery.exceptions import OperationalError
from django.db import transaction

from reporting import mail, wording
from reporting.figures import Figures, compute
from reporting.models import Recipient, ReportDelivery, ReportRun
from reporting.weeks import Week
from routing.errors import TransientError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a report; ``sent_before`` counts the recipients who had theirs already."""

    week: str
    verdict: str
    recipients: int
    sent: int
    sent_before: int = 0
    note: str = ""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class BrokerAway(TransientError):
    """A mail could not be enqueued. Those before it were, and will not be again."""


def send(week: Week, *, now: datetime) -> Outcome:
    """Send a week's report to each active recipient who has not had it yet. Safe to call again.

    A week that is not over has figures so far only: those are sent to everybody, as often as asked, and not kept.

    Raises BrokerAway, and NoSuchWeek for a week that has not begun.
    """
    if now < week.ends_at:
        return send_to(_active_addresses(), week, now=now)
    run = make(week, now=now)
    figures = run.read_figures()
    message = mail.compose(figures)
    deliveries = [_delivery(run, address) for address in _active_addresses()]
    sent = sum(_deliver(delivery, message) for delivery in deliveries if delivery.enqueued_at is None)
    run.conclude()
    return _outcome(figures, recipients=len(deliveries), sent=sent)


def send_to(addresses: Sequence[str], week: Week, *, now: datetime) -> Outcome:
    """Send a week's report to these addresses, also to those that have had it. Raises as ``send``."""
    figures = read(week, now=now)
    message = mail.compose(figures)
    for address in addresses:
        _enqueue(message, address, task_id=str(uuid4()))
    return _outcome(figures, recipients=len(addresses), sent=len(addresses))


def read(week: Week, *, now: datetime) -> Figures:
    """The figures that were kept when the week's report was made; else computed afresh."""
    run = ReportRun.objects.filter(period=str(week)).first()
    return run.read_figures() if run else compute(week, now=now)


def make(week: Week, *, now: datetime) -> ReportRun:
    """The kept report of a week that is over, computed if there is none yet. Safe to call again."""
    run = ReportRun.objects.filter(period=str(week)).first()
    if run is None:
        figures = compute(week, now=now)
        # Two that compute at once: the unique week keeps the first, and both go on with that one.
        run, _ = ReportRun.objects.get_or_create(
            period=str(week), defaults={"figures": figures.as_json(), "built_at": now}
        )
    return run


def _active_addresses() -> list[str]:
    return list(Recipient.objects.filter(active=True).values_list("email", flat=True))


def _delivery(run: ReportRun, address: str) -> ReportDelivery:
    delivery, _ = ReportDelivery.objects.get_or_create(run=run, address__iexact=address, defaults={"address": address})
    return delivery


def _deliver(delivery: ReportDelivery, message: Mapping[str, str]) -> bool:
    """Enqueue the mail, then mark it. False if another run marked it first."""
    # The mail's task and its mark are in one database and commit together. Two at once enqueue one task: the id,
    # committed before, is the same.
    with transaction.atomic():
        _enqueue(message, delivery.address, task_id=str(delivery.task_id))
        return delivery.mark_enqueued()


def _enqueue(message: Mapping[str, str], address: str, *, task_id: str) -> None:
    try:
        current_app.send_task("notifications.send_email", kwargs={**message, "to": [address]}, task_id=task_id)
    except (OperationalError, OSError) as error:
        raise BrokerAway(
            f"The mail to {address} could not be enqueued, because RabbitMQ does not answer: {error}"
        ) from error


def _outcome(figures: Figures, *, recipients: int, sent: int) -> Outcome:
    outcome = Outcome(
        week=str(figures.week),
        verdict=wording.verdict(figures),
        recipients=recipients,
        sent=sent,
        sent_before=recipients - sent,
        note="" if recipients else "no recipients",
    )
    logger.info(
        "Weekly report %s: %d of %d recipients sent, %d had it before%s. %s",
        outcome.week,
        sent,
        recipients,
        outcome.sent_before,
        f" ({outcome.note})" if outcome.note else "",
        outcome.verdict,
    )
    return outcome
