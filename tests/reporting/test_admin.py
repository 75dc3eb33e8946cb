"""The admin pages of subscriptions and reports."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

import notifications.tasks  # noqa: F401  (registers them)
from notifications.consent import choices
from reporting import reports
from reporting.models import ReportDelivery, ReportEdition, ReportRun, Subscription
from reporting.runs import ordering
from reporting.weeks import Week
from routing.ledger.tables import Message
from tests import inline
from tests.reporting.subscribers import subscribe

pytestmark = pytest.mark.django_db

WEEK = Week(2026, 46)
SUBSCRIPTIONS = "/admin/reporting/subscription/"
RUNS = "/admin/reporting/reportrun/"
DELIVERIES = "/admin/reporting/reportdelivery/"
NEW = {
    "email": " ann@example.com",
    "name": "Ann",
    "report": "weekly",
    "weekday": "0",
    "hour": "9",
    "time_zone": "europe/berlin",
}


@pytest.fixture
def run(settings: Any, tmp_path: Path) -> ReportRun:
    settings.MEDIA_ROOT = tmp_path
    subscribe("ann@example.com")
    ordering.send_now(reports.named("weekly"), WEEK, now=datetime(2026, 11, 16, 9, tzinfo=UTC))
    return ReportRun.objects.get()


def act(client: Client, page: str, action: str, *keys: int, confirmed: bool = True) -> Any:
    data = {"action": action, "_selected_action": keys} | ({"confirmed": "yes"} if confirmed else {})
    return client.post(page, data, follow=True)


def enqueued(task: str) -> list[dict[str, Any]]:
    return [json.loads(body)[1] for body in Message.objects.filter(task=task).values_list("body", flat=True)]


def test_a_subscription_is_added(admin_client: Client) -> None:
    admin_client.post(
        f"{SUBSCRIPTIONS}add/", {**NEW, "domains": ["reporting", "notifications"], "attached": ["xlsx", "csv"]}
    )

    found = Subscription.objects.get()
    assert (str(found), found.domains, found.attached, found.time_zone) == (
        "Ann <ann@example.com>",
        "notifications,reporting",
        "csv,xlsx",
        "Europe/Berlin",
    )


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"email": "ann"}, "valid email address"),
        ({"email": "BOB@example.com"}, "subscribed to this report already"),
        ({"time_zone": "CET+1"}, "Write one such as Europe/Berlin"),
        ({"hour": "24"}, "Select a valid choice"),
        ({"report": "monthly"}, "Select a valid choice"),
        ({"domains": ["sales"]}, "Select a valid choice"),
        ({"attached": ["html"]}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_refused(admin_client: Client, wrong: dict[str, Any], complaint: str) -> None:
    subscribe("bob@example.com")

    page = admin_client.post(f"{SUBSCRIPTIONS}add/", {**NEW, **wrong}).content.decode()

    assert complaint in page
    assert Subscription.objects.count() == 1


def test_a_subscription_is_shown_as_it_is_and_saved_again(admin_client: Client) -> None:
    one = subscribe(domains="notifications", time_zone="Asia/Tokyo", attached="papyrus,pdf")

    page = admin_client.get(f"{SUBSCRIPTIONS}{one.pk}/change/").content.decode()

    assert 'value="notifications" id="id_domains_0" checked' in " ".join(page.split()).replace('" checked', '" checked')
    assert '<option value="Asia/Tokyo">' in page
    assert "together at most 10 MB" in page
    # A form of another release stays chosen until somebody takes it out.
    assert page.count('name="attached"') == 4
    assert "notifications, with papyrus and PDF" in admin_client.get(SUBSCRIPTIONS).content.decode()
    assert "Monday, 09:00, Asia/Tokyo" in admin_client.get(SUBSCRIPTIONS).content.decode()


@pytest.mark.parametrize(
    ("action", "before", "is_active"),
    [
        ("pause_selected", {}, False),
        ("resume_selected", {"paused_at": WEEK.ends_at}, True),
        ("end_selected", {}, False),
    ],
)
def test_a_decision_is_asked_about_then_done_once_and_logged(
    admin_client: Client, action: str, before: dict[str, Any], is_active: bool
) -> None:
    one = subscribe(**before)

    assert "take me back" in act(admin_client, SUBSCRIPTIONS, action, one.pk, confirmed=False).content.decode()
    assert not LogEntry.objects.exists()

    pages = [act(admin_client, SUBSCRIPTIONS, action, one.pk).content.decode() for _ in range(2)]
    one.refresh_from_db()
    assert one.is_active == is_active
    assert LogEntry.objects.count() == 1
    assert "1 was left as it is." in pages[1]


def test_a_preview_goes_to_whoever_asks_alone(admin_client: Client, admin_user: User) -> None:
    one = subscribe(domains="notifications", attached="csv")

    act(admin_client, SUBSCRIPTIONS, "preview_selected", one.pk)

    (asked,) = enqueued("reporting.preview")
    assert (asked["to"], asked["report"], asked["domains"]) == (admin_user.email, "weekly", "notifications")
    assert asked["attached"] == "csv"


def test_without_an_address_of_ones_own_there_is_no_preview(admin_client: Client, admin_user: User) -> None:
    User.objects.update(email="")

    page = act(admin_client, SUBSCRIPTIONS, "preview_selected", subscribe().pk).content.decode()

    assert "Add one under Users" in page
    assert not Message.objects.exists()


def test_a_run_shows_what_it_says_to_whom_and_when(admin_client: Client, run: ReportRun) -> None:
    page = admin_client.get(f"{RUNS}{run.pk}/change/").content.decode()

    assert "ann@example.com" in page
    assert "sandbox=" in page
    assert "2026-W46" in admin_client.get(RUNS).content.decode()


def test_the_progress_of_a_build_is_shown_while_it_works(admin_client: Client, run: ReportRun) -> None:
    ReportRun.objects.update(progress=42, step="What failed")

    page = admin_client.get(f"{RUNS}{run.pk}/change/").content.decode()

    assert "It is being built: 42 %, What failed" in page


def test_a_run_of_an_earlier_release_is_shown_with_its_figures(admin_client: Client) -> None:
    old = ReportRun.objects.create(period="2026-W40", state="sent", figures={"week": "2026-W40"}, progress=100)
    ReportDelivery.objects.create(run=old, address="ann@example.com", enqueued_at=WEEK.starts_at)

    page = admin_client.get(f"{RUNS}{old.pk}/change/").content.decode()

    assert "made by an earlier release" in page
    assert "&quot;week&quot;: &quot;2026-W40&quot;" in page


@pytest.mark.parametrize(
    ("form", "begins"), [("html", b"<!DOCTYPE html>"), ("csv", b""), ("pdf", b"%PDF"), ("xlsx", b"PK"), ("data", b"{")]
)
def test_its_forms_and_figures_are_downloaded(admin_client: Client, run: ReportRun, form: str, begins: bytes) -> None:
    answer: Any = admin_client.get(f"{RUNS}editions/{ReportEdition.objects.get().pk}/{form}")

    content = answer.getvalue()
    assert content.startswith(begins)
    assert 'attachment; filename="weekly-2026-W46.' in answer["Content-Disposition"]


@pytest.mark.parametrize("form", ["pdf", "text"])
def test_a_file_that_is_not_there_is_said_so(admin_client: Client, run: ReportRun, form: str) -> None:
    ReportEdition.objects.update(files={"text": "reports/gone.txt"})

    answer = admin_client.get(f"{RUNS}editions/{ReportEdition.objects.get().pk}/{form}")

    assert answer.status_code == 404


def test_a_run_is_built_and_sent_again_by_tasks(admin_client: Client, run: ReportRun) -> None:
    for action in ("rebuild_selected", "resend_selected"):
        act(admin_client, RUNS, action, run.pk)

    assert enqueued("reporting.rebuild") == [{"report": "weekly", "period": "2026-W46"}]
    assert enqueued("reporting.resend") == [{"run": run.pk, "number": 2}]
    assert LogEntry.objects.filter(object_id=str(run.pk)).count() == 2


def test_one_person_is_sent_it_again(admin_client: Client, run: ReportRun) -> None:
    row = ReportDelivery.objects.get()

    act(admin_client, DELIVERIES, "resend_selected", row.pk)

    assert enqueued("reporting.resend") == [{"run": run.pk, "number": 2, "addresses": ["ann@example.com"]}]


def test_who_was_sent_it_late_is_found(admin_client: Client, run: ReportRun) -> None:
    ReportDelivery.objects.update(due_at=datetime.now(UTC) - timedelta(hours=2))

    assert "ann@example.com" in admin_client.get(f"{DELIVERIES}?became=late").content.decode()
    assert "ann@example.com" not in admin_client.get(f"{DELIVERIES}?became=quiet").content.decode()


def test_what_became_of_each_mail_is_shown(admin_client: Client, run: ReportRun) -> None:
    """The recipient has said no to all reports, by the one click of a mail reader."""
    choices.choose("ann@example.com", {"reports": False}, source="one-click")
    with inline.worker():
        inline.drain()

    for page in (f"{RUNS}{run.pk}/change/", DELIVERIES):
        shown = admin_client.get(page).content.decode()
        assert "suppressed</span>" in shown
        assert "/admin/notifications/delivery/" in shown


@pytest.mark.parametrize("page", ["add/", "{pk}/delete/"])
def test_runs_are_only_read(admin_client: Client, run: ReportRun, page: str) -> None:
    assert admin_client.get(RUNS + page.format(pk=run.pk)).status_code == 403


def test_who_may_only_look_is_offered_no_decision(client: Client, run: ReportRun) -> None:
    user = User.objects.create_user("eve", "eve@example.org", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_reportrun"))
    client.force_login(user)

    page = client.get(f"{RUNS}{run.pk}/change/").content.decode()
    act(client, RUNS, "resend_selected", run.pk)

    assert "preview_selected" in page
    assert "rebuild_selected" not in page
    assert not enqueued("reporting.resend")
