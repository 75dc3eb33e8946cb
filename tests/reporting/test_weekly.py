"""Making and sending the weekly report: each recipient gets a week's report once, whatever dies in between."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from celery.exceptions import OperationalError
from django.db import IntegrityError, transaction
from django_celery_results.models import TaskResult

from reporting import weekly
from reporting.models import Recipient, ReportDelivery, ReportRun
from reporting.tasks import weekly as task
from reporting.weeks import Week
from routing.ledger.tables import Outbox
from tests.stored_results import in_flight, store

pytestmark = pytest.mark.django_db

WEEK = Week(2026, 46)
MONDAY_AT_NINE = datetime(2026, 11, 16, 9, tzinfo=UTC)


@dataclass
class Mails:
    """Stands in for the broker: the e-mails that were enqueued, until it goes away."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    task_ids: list[str] = field(default_factory=list)
    away_after: int = 999

    def send_task(self, name: str, *, kwargs: dict[str, Any], task_id: str) -> None:
        assert name == "notifications.send_email"
        if len(self.sent) >= self.away_after:
            raise OperationalError("connection refused")
        self.sent.append(kwargs)
        self.task_ids.append(task_id)

    @property
    def addresses(self) -> list[str]:
        return [address for kwargs in self.sent for address in kwargs["to"]]


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Mails:
    mails = Mails()
    monkeypatch.setattr(current_app, "send_task", mails.send_task)
    return mails


@pytest.fixture
def recipients() -> list[str]:
    Recipient.objects.create(email="gone@example.com", active=False)
    addresses = ["ann@example.com", "bob@example.com", "cyd@example.com"]
    Recipient.objects.bulk_create([Recipient(email=address) for address in addresses])
    return addresses


def send(now: datetime = MONDAY_AT_NINE) -> weekly.Outcome:
    return weekly.send(WEEK, now=now)


def test_each_active_recipient_gets_a_mail_of_their_own(recipients: list[str], mails: Mails) -> None:
    outcome = send()

    assert [kwargs["to"] for kwargs in mails.sent] == [[address] for address in recipients]
    assert (outcome.recipients, outcome.sent) == (3, 3)
    assert ReportRun.objects.get().state == ReportRun.State.SENT


def test_a_second_run_sends_nothing_again(recipients: list[str], mails: Mails) -> None:
    send()

    outcome = send()

    assert (outcome.sent, outcome.sent_before) == (0, 3)
    assert mails.addresses == recipients


def test_a_run_that_broke_off_is_finished_by_the_next(recipients: list[str], mails: Mails) -> None:
    mails.away_after = 2
    with pytest.raises(weekly.BrokerAway, match=r"cyd@example\.com"):
        send()
    mails.away_after = 999

    assert send().sent == 1
    assert mails.addresses == recipients


def test_a_mail_enqueued_but_not_marked_goes_again_under_the_same_id(
    recipients: list[str], mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(ReportDelivery, "mark_enqueued", lambda _: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            send()

    send()

    assert mails.addresses == ["ann@example.com", *recipients]
    assert mails.task_ids[0] == mails.task_ids[1]
    assert len(set(mails.task_ids)) == 3


def test_all_recipients_read_the_same_figures(recipients: list[str], mails: Mails) -> None:
    mails.away_after = 1
    with pytest.raises(weekly.BrokerAway):
        send()
    mails.away_after = 999
    store(done_at=WEEK.starts_at)

    send()

    assert len({kwargs["text"] for kwargs in mails.sent}) == 1


def test_somebody_added_later_gets_what_the_others_got(recipients: list[str], mails: Mails) -> None:
    send()
    Recipient.objects.create(email="new@example.com")

    assert send().sent == 1
    assert mails.addresses[-1] == "new@example.com"


def test_no_recipients_is_no_failure(mails: Mails) -> None:
    outcome = send()

    assert (outcome.sent, outcome.note) == (0, "no recipients")
    assert ReportRun.objects.get().state == ReportRun.State.NO_RECIPIENTS


def test_a_running_week_is_sent_as_often_as_asked_and_not_kept(recipients: list[str], mails: Mails) -> None:
    wednesday = WEEK.starts_at + timedelta(days=2)

    send(wednesday)
    send(wednesday)

    assert len(mails.sent) == 6
    assert not ReportRun.objects.exists()


def test_naming_an_address_sends_again(recipients: list[str], mails: Mails) -> None:
    send()

    weekly.send_to(["ann@example.com"], WEEK, now=MONDAY_AT_NINE)

    assert mails.addresses.count("ann@example.com") == 2


def test_a_kept_report_outlives_the_results(recipients: list[str], mails: Mails) -> None:
    store(done_at=WEEK.starts_at)
    send()
    TaskResult.objects.all().delete()

    assert weekly.read(WEEK, now=MONDAY_AT_NINE).finished == 1


@pytest.mark.parametrize("address", ["ann@example.com", "ANN@example.com"])
def test_an_address_is_kept_once_however_it_is_written(recipients: list[str], address: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Recipient.objects.create(email=address)


def test_a_delivery_is_made_once_for_each_address_and_week() -> None:
    run = weekly.make(WEEK, now=MONDAY_AT_NINE)
    ReportDelivery.objects.create(run=run, address="ann@example.com")

    with pytest.raises(IntegrityError), transaction.atomic():
        ReportDelivery.objects.create(run=run, address="Ann@example.com")


def test_the_task_is_about_the_week_before_it_was_enqueued(mails: Mails) -> None:
    enqueued = in_flight("reporting.weekly", created_at=MONDAY_AT_NINE)

    assert task.apply(task_id=enqueued.pk).get()["week"] == "2026-W46"


def test_the_task_takes_a_week(mails: Mails) -> None:
    assert task.apply(kwargs={"week": "2026-W45"}).get()["week"] == "2026-W45"


def test_mails_wait_for_the_queue_of_notifications(recipients: list[str]) -> None:
    send()

    assert Outbox.objects.filter(queue="notifications").count() == 3
