"""The pages of reports and subscriptions as people see them: on a desk and on a telephone, light and dark."""

import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

import notifications.tasks  # noqa: F401  (registers them)
from notifications.consent import choices
from reporting import links, reports
from reporting.days import Day
from reporting.models import ReportEdition, ReportRun, Subscription
from reporting.runs import building, ordering
from reporting.weeks import Week
from tests import inline
from tests.browser.conftest import PASSWORD, OpenPage
from tests.browser.test_console import LOOKS, assert_nothing_sticks_out
from tests.reporting import full_week
from tests.reporting.subscribers import subscribe

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
SUBSCRIPTIONS, RUNS = "/admin/reporting/subscription/", "/admin/reporting/reportrun/"


@pytest.fixture
def monday(settings: Any, tmp_path: Path) -> ReportRun:
    """The report of a full week has been sent: somebody has said no, and somebody's mail waits."""
    settings.MEDIA_ROOT = tmp_path / "files"
    full_week.happen(results=60)
    subscribe("ann.example@example.org", name="Ann Example", time_zone="Europe/Berlin", attached="csv,pdf,xlsx")
    subscribe("ann.example@example.org", report="broken-now", hour=7, paused_at=full_week.AFTER)
    subscribe("no-more@example.org", domains="notifications")
    subscribe("a.very.long.name.of.somebody.who.reads.reports@mail.engineering.example.org", domains="notifications")
    subscribe("left@example.org", ended_at=full_week.AFTER, hour=17, weekday=4)
    choices.choose("no-more@example.org", {"reports": False}, source="one-click")
    ordering.send_now(reports.named("weekly"), full_week.WEEK, now=full_week.AFTER)
    with inline.worker():
        inline.drain()
    return ReportRun.objects.get(period=str(full_week.WEEK))


def sign_in(page: Page) -> None:
    page.goto(f"/admin/login/?next={SUBSCRIPTIONS}")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#changelist")).to_be_visible()


def public(url: str) -> str:
    return url[url.index("/reports/") :]


@pytest.mark.parametrize(("width", "dark"), LOOKS if "LOOK" in os.environ else [(1280, False), (360, True)])
def test_every_page_of_reports_fits_its_window(
    open_page: OpenPage, administrator: User, monday: ReportRun, width: int, dark: bool
) -> None:
    page, look = open_page(width=width, dark=dark), f"{width}-{'dark' if dark else 'light'}"
    sign_in(page)
    ReportRun.objects.create(report="weekly", period="2026-W47", progress=42, step="What failed")
    ann = Subscription.objects.filter(email__startswith="ann").first()
    assert ann is not None
    edition = ReportEdition.objects.get(run=monday, domains="")
    refused = Subscription.objects.get(email="no-more@example.org")
    quiet = building.ensure(reports.named("weekly"), Week(2026, 40), now=Week(2026, 40).ends_at)
    broken = building.ensure(reports.named("broken-now"), Day(date(2026, 11, 16)), now=full_week.AFTER)

    pages = {
        "subscriptions": SUBSCRIPTIONS,
        "add": f"{SUBSCRIPTIONS}add/",
        "runs": RUNS,
        "run": f"{RUNS}{monday.pk}/change/",
        "sent-to": "/admin/reporting/reportdelivery/",
        "mine": public(links.subscriptions_url(ann.pk)),
        "mine-refused": public(links.subscriptions_url(refused.pk)),
        "refused": f"{SUBSCRIPTIONS}{refused.pk}/change/",
        "web": public(links.page_url(edition.pk)),
        "web-quiet": public(links.page_url(quiet.editions.get().pk)),
        "web-broken-now": public(links.page_url(broken.editions.get().pk)),
        # The last: it loads itself again after a while, which would break into the way to another one.
        "building": f"{RUNS}{ReportRun.objects.get(period='2026-W47').pk}/change/",
    }
    for name, url in pages.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        if name == "run":
            expect(page.frame_locator(".report-frame").get_by_role("heading", level=1)).to_be_visible()
        assert_nothing_sticks_out(page)
        picture(page, f"{look}-{name}")


def picture(page: Page, name: str) -> None:
    """Of the whole page: its window is made as high, because Chromium leaves frames blank where it only pretends to."""
    if not (folder := os.environ.get("LOOK")):
        return
    assert page.viewport_size is not None
    before = page.viewport_size
    page.set_viewport_size({**before, "height": page.evaluate("document.documentElement.scrollHeight")})
    page.evaluate(PAINTED)
    page.screenshot(path=Path(folder) / f"{name}.png")
    page.set_viewport_size(before)


def test_a_subscription_is_paused_after_a_question(open_page: OpenPage, administrator: User) -> None:
    one, page = subscribe(), open_page(width=360, dark=True)
    sign_in(page)

    page.locator(f'input[name="_selected_action"][value="{one.pk}"]').check()
    page.locator('select[name="action"]').select_option("pause_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", name="Pause?")).to_be_visible()
    picture(page, "360-dark-question")
    page.get_by_role("button", name="Yes, pause").click()

    expect(page.get_by_text("1 done: Paused.")).to_be_visible()
    one.refresh_from_db()
    assert not one.is_active


def test_a_reader_pauses_and_resumes_without_scripts(open_page: OpenPage) -> None:
    one, page = subscribe(), open_page(width=360, scripts=False)

    page.goto(public(links.subscriptions_url(one.pk)))
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("is paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("from the next one on")

    one.refresh_from_db()
    assert one.is_active
    assert one.counts_from > full_week.AFTER - timedelta(days=1)
