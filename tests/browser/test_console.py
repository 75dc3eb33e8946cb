"""The console as people see it: on a desk and on a telephone, light and dark, with scripts and without."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django_celery_results.models import TaskResult
from playwright.sync_api import Page, expect

from routing.ledger.tables import DeadLetter, Message
from tests.browser.conftest import PASSWORD, OpenPage
from tests.console import schedule_specimens, specimens
from tests.console.conftest import Serve, serve

__all__ = ["serve"]

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.browser,
    pytest.mark.broker,
    pytest.mark.django_db(transaction=True),
]

RESULTS = "/admin/django_celery_results/taskresult/"
IN_FLIGHT = "/admin/routing/message/"
ALL_TASKS = "/admin/tasks/"
LETTERS = "/admin/routing/deadletter/"
LOOKS = [(1280, False), (1280, True), (360, False), (360, True)]


@pytest.fixture
def busy_day(serve: Serve) -> dict[str, TaskResult]:
    serve()
    specimens.beat()
    specimens.relay()
    schedule_specimens.registered(schedule_specimens.BUILT_IN)
    day = specimens.a_busy_day()
    specimens.dead_letter(day["refused"])
    specimens.unreadable_letter()
    return day


@pytest.fixture
def busy_hour(busy_day: object) -> dict[str, Message]:
    return specimens.a_busy_hour()


def sign_in(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_label("State of the pipeline")).to_be_visible()


def open_filters(page: Page) -> None:
    # It is a link without an address, whose text holds the name of its icon.
    page.locator("#changelist a", has_text="Filters").first.click()


def assert_nothing_sticks_out(page: Page) -> None:
    too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert too_wide == 0, f"{page.url} is {too_wide} px wider than its window"


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_fits_its_window(
    open_page: OpenPage,
    administrator: User,
    busy_day: dict[str, TaskResult],
    busy_hour: dict[str, Message],
    tmp_path: Path,
    width: int,
    dark: bool,
) -> None:
    page = open_page(width=width, dark=dark)
    sign_in(page)

    details = {name: f"{RESULTS}{busy_day[name].pk}/change/" for name in ("refused", "report")}
    details |= {f"in-flight-{name}": f"{IN_FLIGHT}{quote(row.pk)}/change/" for name, row in busy_hour.items()}
    lists = {"start": "/admin/", "list": RESULTS, "in-flight": IN_FLIGHT, "dead-letters": LETTERS}
    lists |= {
        "all-tasks": f"{ALL_TASKS}?domain=notifications&domain=reporting",
        "no-tasks": f"{ALL_TASKS}?to=2001-01-01",
    }
    letters = {letter.reason: f"{LETTERS}{letter.pk}/change/" for letter in DeadLetter.objects.all()}
    for name, url in {**lists, **details, **letters}.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        assert_nothing_sticks_out(page)
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_a_failure_is_replayed_from_its_page_after_a_look_at_what_would_happen(
    open_page: OpenPage, administrator: User, busy_day: dict[str, TaskResult], tmp_path: Path, width: int, dark: bool
) -> None:
    page = open_page(width=width, dark=dark)
    sign_in(page)

    page.goto(f"{RESULTS}{busy_day['refused'].pk}/change/")
    page.get_by_role("button", name="Replay…").click()
    expect(page.get_by_role("heading", name="Replay 1 dead letter?")).to_be_visible()
    assert_nothing_sticks_out(page)
    page.screenshot(path=tmp_path / "decision.png", full_page=True)
    page.get_by_role("button", name="Yes, replay").click()

    page.get_by_role("link", name=Message.objects.get().pk).click()
    expect(page.get_by_text("Replay of")).to_be_visible()


def test_dead_letters_are_chosen_in_the_list_and_discarded(
    open_page: OpenPage, administrator: User, busy_day: object, tmp_path: Path
) -> None:
    page = open_page()
    sign_in(page)

    page.goto(LETTERS)
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("discard_selected")
    page.screenshot(path=tmp_path / "chosen.png", full_page=True)
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Yes, discard").click()

    expect(page.get_by_text("2 dead letters are discarded.")).to_be_visible()
    assert set(DeadLetter.objects.values_list("state", flat=True)) == {"discarded"}


def test_the_verdict_and_every_queue_are_on_the_start_page(
    open_page: OpenPage, administrator: User, busy_day: object
) -> None:
    page = open_page()
    sign_in(page)

    expect(page.get_by_text("All is well: 5 queues served, beat alive.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"^notifications\.bulk "))).to_be_visible()


def test_from_the_start_page_to_a_failure_and_its_traceback(
    open_page: OpenPage, administrator: User, busy_day: object
) -> None:
    page = open_page()
    sign_in(page)

    page.get_by_label("Notifications", exact=True).locator(".console-glance-domain .console-bad a").click()
    page.get_by_role("link", name="notifications.send_email").click()

    expect(page.get_by_role("heading", name="routing.errors.PermanentError")).to_be_visible()
    expect(page.locator("pre", has_text="Traceback (most recent call last)")).to_be_visible()


def test_results_are_narrowed_by_the_filters(open_page: OpenPage, administrator: User, busy_day: object) -> None:
    page = open_page()
    sign_in(page)

    page.goto(RESULTS)
    open_filters(page)
    page.get_by_role("link", name="Reporting", exact=True).click()
    expect(page.locator("#result_list tr.data-row")).to_have_count(1)

    page.goto(RESULTS)
    open_filters(page)
    page.get_by_role("link", name="failure", exact=True).click()
    expect(page.locator("#result_list tr.data-row")).to_have_count(1)


def test_from_the_start_page_to_a_running_task_and_its_worker(
    open_page: OpenPage, administrator: User, busy_hour: object
) -> None:
    page = open_page()
    sign_in(page)

    page.get_by_label("Reporting", exact=True).get_by_role("link", name="1", exact=True).click()
    page.get_by_role("link", name="reporting.weekly").click()

    expect(page.get_by_text("It runs on reporting@app-1, process 983.")).to_be_visible()


def test_another_day_is_chosen_by_its_date(open_page: OpenPage, administrator: User, busy_day: object) -> None:
    old = specimens.result("reporting.weekly", queue="reporting", enqueued=timedelta(days=40))
    page = open_page()
    sign_in(page)

    page.goto(f"{RESULTS}?domain=reporting")
    open_filters(page)
    page.get_by_label("Another day").fill(old.date_created.date().isoformat())
    page.get_by_role("button", name="Show").click()

    expect(page.locator("#result_list tr.data-row")).to_have_count(1)
    assert "domain=reporting" in page.url


def test_results_are_found_by_a_recipient(open_page: OpenPage, administrator: User, busy_day: object) -> None:
    page = open_page()
    sign_in(page)

    page.goto(RESULTS)
    page.locator("#searchbar").fill("ada@example.org")
    page.keyboard.press("Enter")

    expect(page.locator("#result_list tr.data-row")).to_have_count(1)
    expect(page.get_by_text("No index serves ada@example.org")).to_be_visible()


def test_the_start_page_works_without_scripts(open_page: OpenPage, administrator: User, busy_day: object) -> None:
    page = open_page(scripts=False)

    sign_in(page)

    expect(page.get_by_text("All is well")).to_be_visible()


def test_what_a_task_brings_stays_text(open_page: OpenPage, administrator: User) -> None:
    evil = "<img src=/nowhere onerror=window.owned=1>"
    row = specimens.result(evil, kwargs={"subject": evil}, outcome=evil, traceback=evil, meta={"queue": evil})
    page = open_page()
    sign_in(page)

    for url in (RESULTS, f"{RESULTS}{row.pk}/change/"):
        page.goto(url)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.owned === undefined")
        expect(page.get_by_text(evil).first).to_be_visible()
