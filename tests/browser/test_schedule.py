"""The schedule as people see it and act on it: on a desk and on a telephone, light and dark."""

import re
from pathlib import Path

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from playwright.sync_api import expect

from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import Message
from tests.browser.conftest import OpenPage
from tests.browser.test_console import LOOKS, assert_nothing_sticks_out, sign_in
from tests.console import schedule_specimens, specimens
from tests.console.conftest import Serve, serve

__all__ = ["serve"]

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.browser,
    pytest.mark.broker,
    pytest.mark.django_db(transaction=True),
]

SCHEDULE, SLOTS = "/admin/routing/scheduleentry/", "/admin/routing/scheduleslot/"


@pytest.fixture
def schedule(serve: Serve) -> None:
    serve()
    specimens.relay()
    schedule_specimens.a_schedule()
    specimens.beat(seconds_ago=-60)


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_fits_its_window(
    open_page: OpenPage, administrator: User, schedule: None, tmp_path: Path, width: int, dark: bool
) -> None:
    page = open_page(width=width, dark=dark)
    sign_in(page)

    names = ("clean-up", "busy", "broken", "held", "stuck")
    pages = {name: f"{SCHEDULE}{quote(name)}/change/" for name in names}
    asking = {f"ask-{verb}": f"{SCHEDULE}sweep/{verb}/" for verb in ("run", "pause")}
    asking["ask-resume"] = f"{SCHEDULE}held/resume/"
    for name, url in {"start": "/admin/", "schedule": SCHEDULE, "slots": SLOTS, **pages, **asking}.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        assert_nothing_sticks_out(page)
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)


def test_an_empty_schedule_tells_what_to_do(open_page: OpenPage, administrator: User, serve: Serve) -> None:
    serve()
    page = open_page()
    sign_in(page)

    page.goto(SCHEDULE)

    expect(page.get_by_text("No beat has run yet")).to_be_visible()


def test_from_the_start_page_an_entry_is_run_paused_and_resumed(
    open_page: OpenPage, administrator: User, serve: Serve
) -> None:
    serve()
    schedule_specimens.registered(schedule_specimens.BUILT_IN)
    specimens.beat(seconds_ago=-60)
    page = open_page()
    sign_in(page)

    page.get_by_role("link", name=re.compile("^clean-up ")).click()
    expect(page.get_by_text("The schedule is all right. Next: clean-up")).to_be_visible()
    page.get_by_role("link", name="clean-up", exact=True).click()
    page.get_by_role("link", name="Run now…").click()
    page.get_by_role("button", name="Yes, run now").dblclick()
    expect(page.get_by_text(re.compile("is enqueued as|has been run for this already"))).to_be_visible()
    assert Message.objects.count() == 1
    assert ScheduleSlot.objects.get().asked_by == "ada"

    page.get_by_role("link", name="Pause…").click()
    page.get_by_label("Why?").fill("The disk is full.")
    page.get_by_role("button", name="Yes, pause").click()
    expect(page.get_by_text("by ada: The disk is full.")).to_be_visible()
    page.get_by_role("link", name="Resume…").click()
    page.get_by_role("button", name="Yes, resume").click()
    expect(page.get_by_text("goes on with what is due from now on")).to_be_visible()
    assert ScheduleEntry.objects.get(name="clean-up").paused_at is None
