"""A secret argument is masked on its task's page, and shown once somebody asks for it."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from playwright.sync_api import expect

from routing.console.page_parts import result_url
from routing.ledger.erasure_tables import Erasure
from tests.browser.conftest import OpenPage
from tests.browser.test_console import assert_nothing_sticks_out, sign_in
from tests.console import specimens
from tests.sensitive import tasks as typed_tasks
from tests.sensitive.evidence import CARD

tasks: Any = typed_tasks

pytestmark = [pytest.mark.browser, pytest.mark.any_database, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_a_secret_is_revealed_on_any_screen(
    open_page: OpenPage, administrator: User, width: int, *, dark: bool
) -> None:
    _args, kwargs = tasks.charge.secret.sealed([], {"order": "A-17", "card": CARD})
    row = specimens.result("reporting.charge", queue="reporting", kwargs=kwargs, outcome={"order": "A-17"})
    page = open_page(width=width, dark=dark)
    sign_in(page)

    page.goto(result_url(row.pk))
    expect(page.get_by_text('"card": "••••••"')).to_be_visible()
    assert CARD not in page.content()
    page.get_by_role("button", name="Reveal card").click()

    expect(page.get_by_text(CARD)).to_be_visible()
    assert_nothing_sticks_out(page)
    page.get_by_role("link", name="Back to the task").click()
    assert CARD not in page.content()
    assert LogEntry.objects.get().get_change_message() == "Revealed card of reporting.charge."


def test_erasures_are_listed(open_page: OpenPage, administrator: User) -> None:
    Erasure.objects.create(digest="x", by="ops@app-1", reference="case 17", counts={"results": 12})
    page = open_page(width=360)
    sign_in(page)

    page.goto("/admin/routing/erasure/")

    expect(page.get_by_text("case 17")).to_be_visible()
    expect(page.get_by_text("12 results")).to_be_visible()
