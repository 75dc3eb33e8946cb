"""Searching results with the keyboard alone, on a desk and on a telephone, light and dark; and without scripts."""

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_console import LOOKS, RESULTS, assert_nothing_sticks_out, sign_in
from tests.console import specimens

pytestmark = [pytest.mark.any_database, pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def shoot(page: Page, folder: Path, name: str) -> None:
    page.wait_for_load_state("networkidle")
    assert_nothing_sticks_out(page)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def type_search(page: Page, words: str) -> None:
    page.locator("#searchbar").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type(words)


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_a_failure_is_found_and_read_by_keyboard(
    open_page: OpenPage, administrator: User, tmp_path: Path, width: int, dark: bool
) -> None:
    specimens.a_busy_day()
    specimens.a_busy_hour()
    for age in range(20):
        specimens.result("reporting.weekly", queue="reporting", enqueued=timedelta(days=1, minutes=age))
    page = open_page(width=width, dark=dark)
    sign_in(page)

    page.goto(RESULTS)
    shoot(page, tmp_path, "list")
    page.get_by_role("link", name="Older").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    shoot(page, tmp_path, "older")

    type_search(page, "stat:failure waited:5s")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Did you mean state:?")
    page.get_by_text("What can be searched for").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("args.user_id:42").first).to_be_visible()
    shoot(page, tmp_path, "mistakes")

    type_search(page, "domain:notifications state:f")
    expect(page.locator("#console-completion-list option").first).to_have_attribute(
        "value", "domain:notifications state:failure"
    )
    type_search(page, "domain:notifications waited:>8s")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Not finished yet")).to_be_visible()
    shoot(page, tmp_path, "in-flight")

    type_search(page, 'state:failure error:"no such user"')
    page.keyboard.press("Enter")
    expect(page.locator("#result_list tr.data-row")).to_have_count(1)
    shoot(page, tmp_path, "found")
    page.get_by_role("link", name="notifications.send_email").focus()
    page.keyboard.press("Enter")
    expect(page.locator("mark").first).to_contain_text("notifications/tasks.py")
    shoot(page, tmp_path, "failure")


@pytest.mark.parametrize("width", [1280, 360])
def test_a_flow_and_the_last_runs_fit_the_window(
    open_page: OpenPage, administrator: User, tmp_path: Path, width: int
) -> None:
    root, spread, parts = str(uuid.uuid4()), str(uuid.uuid4()), [str(uuid.uuid4()) for _ in range(3)]
    group = [[[str(uuid.uuid4()), None], [[[part, None], None] for part in parts]]]
    specimens.result("reporting.gather_everything", task_id=root, meta={"children": [[[spread, None], None]]})
    row = specimens.result("reporting.spread", task_id=spread, meta={"root_id": root, "children": group, "attempt": 2})
    for part, status in zip(parts, ("SUCCESS", "FAILURE", "REVOKED"), strict=True):
        specimens.result("reporting.part", task_id=part, status=status, meta={"root_id": root, "parent_id": spread})
    specimens.result("reporting.spread", enqueued=timedelta(hours=3))
    page = open_page(width=width)
    sign_in(page)

    page.goto(f"{RESULTS}{row.pk}/change/")
    expect(page.get_by_role("heading", name="Last runs of this task")).to_be_visible()
    shoot(page, tmp_path, "flow")


def test_the_search_works_without_scripts(open_page: OpenPage, administrator: User) -> None:
    specimens.result()
    wanted = specimens.result("reporting.weekly", queue="reporting")
    page = open_page(scripts=False)
    sign_in(page)

    page.goto(RESULTS)
    page.locator("#searchbar").fill("task:reporting.*")
    page.keyboard.press("Enter")

    expect(page.locator("#result_list tr.data-row")).to_have_count(1)
    expect(page.get_by_text(wanted.task_name, exact=True).first).to_be_visible()
