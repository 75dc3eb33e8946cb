"""Queues, pools, handbook and the figures of the start page, as people see them and act: by keyboard, too."""

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, Route, expect

from routing.ledger import pauses
from routing.ledger.tables import Process
from tests.browser.conftest import OpenPage
from tests.browser.test_console import LOOKS, assert_nothing_sticks_out, sign_in
from tests.console import specimens
from tests.console.conftest import Serve, serve

__all__ = ["serve"]

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.browser,
    pytest.mark.broker,
    pytest.mark.django_db(transaction=True),
]

POOLS = "/admin/pools/"


@pytest.fixture
def workers(serve: Serve) -> list[Process]:
    serve()
    specimens.beat(seconds_ago=-60)
    specimens.relay(seconds_ago=-60)
    specimens.a_day_of_hours()
    specimens.a_busy_hour()
    pauses.pause("notifications.bulk", by="ann", reason="The mail server is down")
    return [a_worker(queue) for queue in ("notifications.bulk", "maintenance")]


def a_worker(queue: str) -> Process:
    return Process.objects.create(
        role=Process.Role.WORKER,
        name=f"{queue}@app-1",
        host="app-1",
        pid=7,
        version="0.1.0",
        queues=json.dumps([queue]),
    )


def refresh(page: Page) -> None:
    """As it does every ten seconds, and when somebody comes back to it."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_fits_its_window(
    open_page: OpenPage, administrator: User, workers: list[Process], tmp_path: Path, width: int, dark: bool
) -> None:
    page = open_page(width=width, dark=dark)
    sign_in(page)

    for name, url in {
        "figures": "/admin/",
        "pools": POOLS,
        "topology": f"{POOLS}topology/",
        "ask-pause": f"{POOLS}queue/maintenance/pause/",
        "ask-resume": f"{POOLS}queue/notifications.bulk/resume/",
        "ask-size": f"{POOLS}worker/{workers[0].pk}/resize/",
        "handbook": "/admin/handbook/operations/#a-queue-is-growing",
    }.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        assert_nothing_sticks_out(page)
        page.screenshot(path=tmp_path / f"{name}.png", full_page=name != "handbook")


def test_a_queue_is_paused_by_keyboard_and_resumed(
    open_page: OpenPage, administrator: User, workers: list[Process]
) -> None:
    page = open_page()
    sign_in(page)

    page.goto(POOLS)
    page.get_by_label("maintenance", exact=False).get_by_role("link", name="Pause…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pause maintenance?")).to_be_visible()
    # The browser puts the cursor there only after it has shown the page.
    expect(page.get_by_role("textbox", name="Why?")).to_be_focused()
    page.keyboard.type("The disk is full")
    page.keyboard.press("Enter")

    expect(page.get_by_text("by ada: The disk is full.")).to_be_visible()
    page.get_by_label("maintenance", exact=False).get_by_role("link", name="Resume…").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Yes, resume").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("maintenance goes on")).to_be_visible()
    assert list(pauses.names()) == ["notifications.bulk"]


def test_the_cursor_is_in_the_field_also_where_the_page_was_hidden_for_long(
    open_page: OpenPage, administrator: User, workers: list[Process]
) -> None:
    page, held = open_page(), list[Route]()
    sign_in(page)
    page.route("**/alpine/alpine.js*", lambda route: held.append(route))
    page.goto(f"{POOLS}queue/maintenance/pause/", wait_until="commit")
    field = page.locator("input[name=reason]")
    field.wait_for(state="attached")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(field).to_be_hidden()

    held[0].continue_()

    expect(field).to_be_focused()


def test_the_start_page_keeps_itself_up_to_date_and_leaves_people_where_they_are(
    open_page: OpenPage, administrator: User, workers: list[Process]
) -> None:
    page = open_page()
    sign_in(page)
    link = page.get_by_role("link", name="reporting", exact=False).first
    link.focus()
    assert page.evaluate("document.activeElement.href")
    before = page.evaluate("document.activeElement.href")

    pauses.pause("reporting", by="ann", reason="The printer burns")
    refresh(page)

    expect(page.get_by_text("by ann: The printer burns.")).to_be_visible()
    assert page.evaluate("document.activeElement.href") == before
    expect(page.get_by_role("status")).to_contain_text("2 are paused")


def test_a_start_page_that_cannot_be_refreshed_says_so(
    open_page: OpenPage, administrator: User, workers: list[Process]
) -> None:
    page = open_page()
    sign_in(page)
    expect(page.get_by_text("could not be refreshed")).to_be_hidden()

    page.evaluate("document.getElementById('console-overview').dataset.refresh = 'http://['")
    refresh(page)
    expect(page.get_by_text("could not be refreshed")).to_be_visible()

    page.evaluate("document.getElementById('console-overview').dataset.refresh = '/admin/overview/'")
    refresh(page)
    expect(page.get_by_text("could not be refreshed")).to_be_hidden()


def test_without_scripts_the_start_page_loads_itself_anew_and_leads_to_the_cure(
    open_page: OpenPage, administrator: User, workers: list[Process]
) -> None:
    page = open_page(scripts=False)
    sign_in(page)

    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(1)
    page.get_by_role("link", name="What to do").first.click()

    expect(page.get_by_role("heading", name="Pausing a queue")).to_be_in_viewport()
