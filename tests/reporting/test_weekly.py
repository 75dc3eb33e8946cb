"""The weekly report by its task and by order: each recipient gets a week's report once."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from reporting import reports
from reporting.documents.document import Document
from reporting.models import ReportDelivery, ReportEdition, ReportRun, Subscription
from reporting.runs import building, ordering
from reporting.runs.ordering import Outcome
from reporting.tasks import weekly as task
from reporting.weeks import Week
from routing.ledger.tables import Message, Outbox
from tests.reporting.subscribers import subscribe
from tests.stored_results import in_flight, store

pytestmark = pytest.mark.django_db

WEEK = Week(2026, 46)
MONDAY_AT_NINE = datetime(2026, 11, 16, 9, tzinfo=UTC)


class Mails:
    """The mails that were enqueued, as the ledger holds them."""

    @property
    def sent(self) -> list[dict[str, Any]]:
        bodies = Message.objects.filter(task="notifications.notify").order_by("created_at")
        return [json.loads(body)[1] for body in bodies.values_list("body", flat=True)]

    @property
    def addresses(self) -> list[str]:
        return sorted(address for kwargs in self.sent for address in kwargs["to"])


@pytest.fixture
def mails(settings: Any, tmp_path: Path) -> Mails:
    settings.MEDIA_ROOT = tmp_path / "kept"
    return Mails()


@pytest.fixture
def recipients() -> list[str]:
    subscribe("gone@example.com", paused_at=MONDAY_AT_NINE)
    addresses = ["ann@example.com", "bob@example.com", "cyd@example.com"]
    for address in addresses:
        subscribe(address)
    return addresses


def send(now: datetime = MONDAY_AT_NINE) -> Outcome:
    return ordering.send_now(reports.named("weekly"), WEEK, now=now)


def test_each_active_recipient_gets_a_mail_of_their_own(recipients: list[str], mails: Mails) -> None:
    outcome = send()

    assert sorted(kwargs["to"] for kwargs in mails.sent) == [[address] for address in recipients]
    assert (outcome.recipients, outcome.sent) == (3, 3)
    assert ReportRun.objects.get().state == ReportRun.State.SENT


def test_a_second_order_sends_nothing_again(recipients: list[str], mails: Mails) -> None:
    send()

    outcome = send()

    assert (outcome.sent, outcome.sent_before) == (0, 3)
    assert mails.addresses == recipients


def test_all_recipients_read_the_same_figures(recipients: list[str], mails: Mails) -> None:
    send()
    store(done_at=WEEK.starts_at)
    subscribe("new@example.com")

    assert send().sent == 1
    assert len({kwargs["subject"] for kwargs in mails.sent}) == 1
    assert mails.addresses[-1] == "new@example.com"


def test_no_recipients_is_no_failure(mails: Mails) -> None:
    assert send().sent == 0
    assert ReportRun.objects.get().state == ReportRun.State.NO_RECIPIENTS


def test_a_running_week_is_sent_as_often_as_asked_and_not_kept(recipients: list[str], mails: Mails) -> None:
    wednesday = WEEK.starts_at + timedelta(days=2)

    send(wednesday)
    send(wednesday)

    assert len(mails.sent) == 6
    assert len({kwargs["key"] for kwargs in mails.sent}) == 6
    assert not ReportRun.objects.exists()


def test_naming_an_address_sends_again(recipients: list[str], mails: Mails) -> None:
    send()

    ordering.send_to(reports.named("weekly"), WEEK, ["ann@example.com"], now=MONDAY_AT_NINE)

    assert mails.addresses.count("ann@example.com") == 2


def test_a_kept_report_outlives_the_results(recipients: list[str], mails: Mails) -> None:
    send()
    before = ordering.read(reports.named("weekly"), WEEK, now=MONDAY_AT_NINE)
    store(done_at=WEEK.starts_at)

    assert ordering.read(reports.named("weekly"), WEEK, now=MONDAY_AT_NINE) == before


@pytest.mark.parametrize("address", ["ann@example.com", "ANN@example.com"])
def test_an_address_is_subscribed_once_however_it_is_written(recipients: list[str], address: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        subscribe(address)
    subscribe(address, report="broken-now")


def test_a_delivery_is_made_once_for_each_address_and_week(mails: Mails) -> None:
    run = building.ensure(reports.named("weekly"), WEEK, now=MONDAY_AT_NINE)
    ReportDelivery.objects.create(run=run, address="ann@example.com")

    with pytest.raises(IntegrityError), transaction.atomic():
        ReportDelivery.objects.create(run=run, address="Ann@example.com")


def test_the_task_is_about_the_week_before_it_was_enqueued(mails: Mails) -> None:
    enqueued = in_flight("reporting.weekly", created_at=MONDAY_AT_NINE)

    assert task.apply(task_id=enqueued.pk).get()["period"] == "2026-W46"
    assert ReportRun.objects.get().state == ReportRun.State.NO_RECIPIENTS


def test_the_task_takes_a_week_and_sends_it_whatever_the_hour(mails: Mails) -> None:
    subscribe(weekday=4)

    assert task.apply(kwargs={"week": "2026-W46"}).get() | {"verdict": ""} == {
        "report": "weekly",
        "period": "2026-W46",
        "verdict": "",
        "recipients": 1,
        "sent": 1,
        "sent_before": 0,
    }


def test_mails_wait_for_the_queue_of_notifications(recipients: list[str], mails: Mails) -> None:
    send()

    assert Outbox.objects.filter(queue="notifications").count() == 3


def test_a_report_built_anew_says_that_it_was_corrected(recipients: list[str], mails: Mails) -> None:
    send()

    run = building.rebuild(reports.named("weekly"), WEEK, now=MONDAY_AT_NINE + timedelta(days=1))

    assert run.corrected_at is not None
    assert "Corrected: " in Document.from_json(ReportEdition.objects.get().document).notes[0]
    assert len(mails.sent) == 3


def test_sent_again_it_goes_to_those_who_had_it_once_for_each_time(recipients: list[str], mails: Mails) -> None:
    from reporting.runs import sending

    send()
    run = ReportRun.objects.get()
    subscribe("new@example.com")

    assert [sending.send_again(run, number=2) for _ in range(2)] == [3, 0]
    assert sending.send_again(run, number=3, addresses=["bob@example.com"]) == 1
    assert mails.addresses == sorted([*recipients, *recipients, "bob@example.com"])
    assert "weekly:2026-W46:bob@example.com:3" in {kwargs["key"] for kwargs in mails.sent}
    assert Subscription.objects.filter(email="new@example.com").exists()
