"""The pages behind the links in messages as recipients see them, and the admin's pages of what they have said."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from notifications.consent import choices, feedback
from notifications.consent.feedback import Kind, Told
from notifications.consent.suppression_list import suppress
from notifications.consent.tables import Preference
from tests.browser.conftest import OpenPage
from tests.browser.test_console import LOOKS, assert_nothing_sticks_out, sign_in
from tests.console.conftest import Serve, serve
from tests.notifications.consenting import ANN, BEN, path

__all__ = ["serve"]

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]

LONG = f"{'a-very-long-name-' * 3}@{'sub.' * 10}example.org"
ADMIN = {name: f"/admin/notifications/{name}/" for name in ("suppression", "preference", "feedback")}


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_recipients_choose_without_scripts(open_page: OpenPage, tmp_path: Path, width: int, dark: bool) -> None:
    page = open_page(width=width, dark=dark, scripts=False)
    page.goto(path("preferences"))
    page.screenshot(path=tmp_path / "preferences.png", full_page=True)

    page.get_by_label("News").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved. You get: Reports.")
    page.screenshot(path=tmp_path / "saved.png", full_page=True)
    assert [choice.wanted for choice in choices.of(ANN)] == [True, False]

    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_contain_text("You get: Reports, News.")
    page.get_by_role("button", name="None of these").click()
    expect(page.get_by_role("status")).to_contain_text("You get nothing of your choice any more.")
    assert [choice.wanted for choice in choices.of(ANN)] == [False, False]


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_recipients_unsubscribe_with_one_button(open_page: OpenPage, tmp_path: Path, width: int, dark: bool) -> None:
    page = open_page(width=width, dark=dark, scripts=False)
    page.goto(path("unsubscribe"))
    page.screenshot(path=tmp_path / "unsubscribe.png", full_page=True)
    assert not Preference.objects.exists()

    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
    page.screenshot(path=tmp_path / "unsubscribed.png", full_page=True)
    assert Preference.objects.get().wanted is False

    page.get_by_role("button", name="Subscribe again").click()
    expect(page.get_by_role("heading", name="You are subscribed again")).to_be_visible()
    page.screenshot(path=tmp_path / "again.png", full_page=True)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_every_public_page_fits_its_window(open_page: OpenPage, tmp_path: Path, width: int, dark: bool) -> None:
    suppress(LONG)
    page = open_page(width=width, dark=dark, scripts=False)

    pages = {"long": path("preferences", LONG), "required": path("unsubscribe", category="account")}
    for name, url in pages.items():
        page.goto(url)
        assert_nothing_sticks_out(page)
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)


@pytest.mark.broker
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_admin_page_fits_its_window(
    open_page: OpenPage, administrator: User, serve: Serve, tmp_path: Path, width: int, dark: bool
) -> None:
    serve()
    suppress(ANN, reason="bounced", detail="550 5.1.1 The email account that you tried to reach does not exist")
    suppress(LONG, detail="She called, and wants nothing any more.", by="ada")
    choices.choose(ANN, {"news": False}, source="one-click")
    choices.choose(BEN, {"news": True, "offers": False}, source="page")
    feedback.record(Told(kind=Kind.COMPLAINT, address=BEN, detail="abuse, by Provider/1.0"), source="token mailbox")
    kept = feedback.keep(b"Subject: Out of office\n\n" + b"I am away. " * 40, why="It is no report.", source="anymail")
    page = open_page(width=width, dark=dark)
    sign_in(page)

    details = {"added": f"{ADMIN['suppression']}add/", "kept": f"{ADMIN['feedback']}{kept.pk}/change/"}
    for name, url in {**ADMIN, **details}.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        assert_nothing_sticks_out(page)
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)

    page.goto(ADMIN["suppression"])
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("lift_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", name="Lift 3 suppressions?")).to_be_visible()
    assert_nothing_sticks_out(page)
    page.screenshot(path=tmp_path / "lift.png", full_page=True)
    page.get_by_label("Why?").fill("A mistake.")
    page.get_by_role("button", name="Yes, lift").click()
    expect(page.get_by_text("3 suppressions are lifted.")).to_be_visible()
