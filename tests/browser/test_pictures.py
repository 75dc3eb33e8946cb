"""The pictures in the README, taken anew by ``PICTURES=1 python -m pytest tests/browser/test_pictures.py``."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from reporting import links, reports
from reporting.rollups import gathering
from reporting.runs import building
from tests.browser.conftest import OpenPage
from tests.browser.test_console import RESULTS, busy_day, sign_in
from tests.console import specimens
from tests.console.conftest import serve
from tests.reporting import full_week

__all__ = ["busy_day", "serve"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.broker,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("PICTURES" not in os.environ, reason="set PICTURES=1 to take the README's pictures"),
]

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"


@pytest.fixture
def whole_day(busy_day: object) -> None:
    specimens.a_day_of_results()
    gathering.roll_up(budget=timedelta(seconds=30))
    specimens.a_day_of_hours()
    specimens.workers()


@pytest.mark.parametrize(("name", "url"), [("start-page", "/admin/"), ("results", RESULTS)])
def test_picture(open_page: OpenPage, administrator: User, whole_day: object, name: str, url: str) -> None:
    page = open_page(width=1280, height=800)
    sign_in(page)

    page.goto(url)
    page.wait_for_load_state("networkidle")
    picture = page.screenshot(path=FOLDER / f"{name}.png")

    assert len(picture) < 200_000


def test_picture_of_the_weekly_report(open_page: OpenPage, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    full_week.happen(results=4_000)
    edition = building.ensure(reports.named("weekly"), full_week.WEEK, now=full_week.AFTER).editions.get()
    page = open_page(width=720, height=1_000)

    page.goto(links.page_url(edition.pk).removeprefix(settings.SITE_URL))
    picture = page.screenshot(path=FOLDER / "weekly-report.png")

    assert len(picture) < 200_000
