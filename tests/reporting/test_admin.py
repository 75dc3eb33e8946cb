"""The admin pages of the weekly report."""

from uuid import uuid4

import pytest
from django.test import Client

from reporting import weekly
from reporting.models import Recipient, ReportDelivery, ReportRun
from reporting.weeks import Week
from tests.stored_results import in_flight, store

pytestmark = pytest.mark.django_db

WEEK = Week(2026, 46)
RECIPIENTS = "/admin/reporting/recipient/"
RUNS = "/admin/reporting/reportrun/"


@pytest.fixture
def run() -> ReportRun:
    store("notifications.<b>", done_at=WEEK.starts_at, status="FAILURE")
    run = weekly.make(WEEK, now=WEEK.ends_at)
    ReportDelivery.objects.create(run=run, address="ann@example.com")
    return run


def test_a_recipient_is_added(admin_client: Client) -> None:
    admin_client.post(f"{RECIPIENTS}add/", {"email": "ann@example.com", "name": "Ann", "active": "on"})

    assert str(Recipient.objects.get(active=True)) == "Ann <ann@example.com>"


@pytest.mark.parametrize(
    ("address", "complaint"),
    [("ann", "valid email address"), ("ANN@example.com", "in the list already")],
)
def test_a_wrong_address_is_refused(admin_client: Client, address: str, complaint: str) -> None:
    Recipient.objects.create(email="ann@example.com")

    response = admin_client.post(f"{RECIPIENTS}add/", {"email": address, "active": "on"})

    assert complaint in response.content.decode()
    assert Recipient.objects.count() == 1


def test_runs_are_listed_with_their_figures(admin_client: Client, run: ReportRun) -> None:
    page = admin_client.get(RUNS).content.decode()

    assert "2026-W46" in page


def test_a_run_shows_its_verdict_deliveries_and_mail(admin_client: Client, run: ReportRun) -> None:
    page = admin_client.get(f"{RUNS}{run.pk}/change/").content.decode()

    assert "The one task of the week finished; it failed, in notifications." in page
    assert "ann@example.com (not enqueued yet)" in page
    assert "sandbox srcdoc=" in page


def test_a_delivery_has_its_tasks_state_wherever_that_is(admin_client: Client, run: ReportRun) -> None:
    waiting, sent = in_flight(id=str(uuid4())), store(done_at=WEEK.ends_at)
    for task_id, address in ((waiting.pk, "ben@example.com"), (sent.task_id, "cat@example.com")):
        ReportDelivery.objects.create(run=run, address=address, task_id=task_id, enqueued_at=WEEK.ends_at)

    page = admin_client.get(f"{RUNS}{run.pk}/change/").content.decode()

    assert "ben@example.com (PENDING)" in page
    assert "cat@example.com (SUCCESS)" in page


@pytest.mark.parametrize("page", ["add/", "{pk}/delete/"])
def test_runs_are_only_read(admin_client: Client, run: ReportRun, page: str) -> None:
    assert admin_client.get(RUNS + page.format(pk=run.pk)).status_code == 403
