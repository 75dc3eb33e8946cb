"""Templates as their authors see them: on a desk and on a telephone, light and dark."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import FrameLocator, Page, expect

from notifications import services
from notifications.templating import versions
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template
from tests.browser.conftest import OpenPage
from tests.browser.test_console import LOOKS, assert_nothing_sticks_out, sign_in

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.browser,
    pytest.mark.broker,
    pytest.mark.django_db(transaction=True),
]

LIST = "/admin/notifications/template/"
HTML = """\
<style>h1 { color: #1d4ed8; font: 600 24px sans-serif } p, td, th { font: 16px/1.5 sans-serif } th { text-align: left }
.button { background: #1d4ed8; border-radius: 6px; color: #fff; padding: 12px 20px; text-decoration: none }</style>
<h1>Thank you, {{ name }}</h1>
<p>Your order {{ number }} of {{ ordered|date:"j F" }} is on its way.</p>
<table width="100%"><tr><th>Tea</th><th>Price</th></tr>
{% for tea in teas %}<tr><td>{{ tea.name }}</td><td>{{ tea.price }}</td></tr>
{% endfor %}</table>
<p><a class="button" href="{{ link }}">Follow it</a></p>
"""
VARIABLES = [
    Variable(name="name", sample="Ann"),
    Variable(name="number", sample=17, description="As on the invoice"),
    Variable(name="ordered", sample="2026-11-27"),
    Variable(name="teas", sample=[{"name": "Assam", "price": 3}, {"name": "Sencha", "price": 12}]),
    Variable(name="link", secret=True, sample="https://example.org/follow?token=sample", description="For them alone"),
]


@pytest.fixture
def order(administrator: User) -> Template:
    template = Template.objects.create(name="order-sent", description="When the parcel has been handed over.")
    first = Sources(subject="Order {{ number }}", text="", html=HTML.replace("Thank you", "Thanks"))
    versions.save(template, first, VARIABLES, after=0, by=administrator)
    second = Sources(subject="Your order {{ number }} is on its way", text="", html=HTML)
    versions.save(template, second, VARIABLES, after=1, by=administrator)
    values = {**{one.name: one.sample for one in VARIABLES}, "name": "Ben"}
    services.notify("ben@example.org", template="order-sent", context=values)
    return template


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_fits_its_window(
    open_page: OpenPage, order: Template, tmp_path: Path, width: int, dark: bool
) -> None:
    page = open_page(width=width, dark=dark)
    sign_in(page)

    own = f"{LIST}{order.pk}/"
    urls = {"list": LIST, "add": f"{LIST}add/", "edit": f"{own}change/", "version": f"{own}versions/1/"}
    for name, url in urls.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        assert_nothing_sticks_out(page)
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)


def test_a_template_is_written_with_nothing_but_its_page(open_page: OpenPage, administrator: User) -> None:
    page = open_page()
    sign_in(page)

    page.goto(f"{LIST}add/")
    page.get_by_label("Name", exact=True).fill("reset")
    page.get_by_label("Subject").fill("Your password")
    page.get_by_label("HTML").fill('<p>Dear {{ name }}, <a href="{{ link }}">choose a new one</a>.</p>')
    press(page, "Preview")
    expect(page.get_by_text("link, name are new")).to_be_visible()
    page.locator("[name=variables-0-sample]").fill("https://example.org/reset")
    page.locator("[name=variables-0-secret]").check()
    page.locator("[name=variables-1-sample]").fill("Ann")
    press(page, "Save as a new version")

    expect(page.get_by_text("It is saved as reset, version 1.")).to_be_visible()
    expect(wide(page).get_by_text("Dear Ann, choose a new one.")).to_be_visible()
    assert versions.newest("reset").secret == {"link"}


def test_a_preview_shows_what_was_typed_and_runs_none_of_it(open_page: OpenPage, order: Template) -> None:
    page = open_page()
    sign_in(page)

    page.goto(f"{LIST}{order.pk}/change/")
    page.get_by_label("HTML").fill("<p>Only {{ name }}</p>")
    page.get_by_label("Preview with other values").fill('{"name": "<img src=x onerror=alert(1)>"}')
    press(page, "Preview")

    expect(wide(page).get_by_text("Only <img src=x onerror=alert(1)>")).to_be_visible()
    press(page, "Send me a test")
    expect(page.get_by_text("Save it first")).to_be_visible()


def test_an_old_version_is_restored(open_page: OpenPage, order: Template) -> None:
    page = open_page()
    sign_in(page)

    page.goto(f"{LIST}{order.pk}/change/")
    page.get_by_role("link", name="Version 1", exact=True).click()
    expect(page.get_by_text("Beside version 2")).to_be_visible()
    press(page, "Restore it as a new version")

    expect(page.get_by_text("Version 3, which is version 1 again.")).to_be_visible()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def wide(page: Page) -> FrameLocator:
    return page.frame_locator("iframe[title='The message, wide']")
