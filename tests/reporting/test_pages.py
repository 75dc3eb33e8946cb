"""The public pages behind the links in reports."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import Client

from reporting import links, reports
from reporting.models import ReportEdition, Subscription
from reporting.runs import building
from reporting.weeks import Week
from tests.reporting.subscribers import subscribe

pytestmark = pytest.mark.django_db


def path(url: str) -> str:
    return url[url.index("/reports/") :]


@pytest.fixture
def mine() -> Subscription:
    return subscribe("ann.example@example.org")


@pytest.fixture
def page(mine: Subscription) -> str:
    return path(links.subscriptions_url(mine.pk))


def test_the_page_lists_what_its_owner_gets_and_shows_no_address(client: Client, mine: Subscription, page: str) -> None:
    subscribe("ANN.example@example.org", report="broken-now")
    subscribe("bob@example.org", name="Bob")

    shown = client.get(page).content.decode()

    assert shown.count("<li>") == 2
    assert "a…e@example.org" in shown
    assert "ann.example@example.org" not in shown


def test_a_look_changes_nothing(client: Client, mine: Subscription, page: str) -> None:
    client.get(page)
    client.head(page)

    mine.refresh_from_db()
    assert mine.is_active


@pytest.mark.parametrize(
    ("deeds", "is_active", "said"),
    [
        (["pause"], False, "is paused"),
        (["pause", "resume"], True, "again, from the next one on"),
        (["end"], False, "You are unsubscribed"),
        (["end", "end"], False, "You are unsubscribed"),
        (["end", "take_up"], True, "subscribed to"),
        (["end", "resume"], False, ""),
    ],
)
def test_the_owner_decides(
    client: Client, mine: Subscription, page: str, deeds: list[str], is_active: bool, said: str
) -> None:
    for deed in deeds:
        shown = client.post(page, {"do": f"{deed}:{mine.pk}"}).content.decode()

    mine.refresh_from_db()
    assert mine.is_active == is_active
    assert said in shown


def test_who_subscribes_again_is_not_sent_what_was_due_meanwhile(client: Client, mine: Subscription, page: str) -> None:
    before = mine.counts_from
    client.post(page, {"do": f"end:{mine.pk}"})

    client.post(page, {"do": f"take_up:{mine.pk}"})

    mine.refresh_from_db()
    assert mine.counts_from > before


def test_one_click_of_a_mail_reader_ends_the_links_own_subscription(
    client: Client, mine: Subscription, page: str
) -> None:
    other = subscribe(mine.email, report="broken-now")

    client.post(page, {"List-Unsubscribe": "One-Click"})

    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.is_active, other.is_active) == (False, True)


@pytest.mark.parametrize("asked", ["", "pause", "pause:", "pause:x", "drop:{mine}", "pause:{other}", "pause:²"])
def test_what_cannot_be_understood_changes_nothing(client: Client, mine: Subscription, page: str, asked: str) -> None:
    other = subscribe("bob@example.org")

    answer = client.post(page, {"do": asked.format(mine=mine.pk, other=other.pk)})

    assert answer.status_code == 400
    assert Subscription.objects.filter(paused_at=None, ended_at=None).count() == 2


@pytest.mark.parametrize("token", ["1:x", "x", "{pk}:altered", "%00"])
def test_a_link_that_is_not_ours_tells_nothing(client: Client, mine: Subscription, token: str) -> None:
    for folder in ("/reports/subscriptions/", "/reports/"):
        answer = client.get(folder + token.format(pk=mine.pk))

        assert answer.status_code == 404
        assert "Sorry, this does not work" in answer.content.decode()


def test_a_link_for_one_page_opens_no_other(client: Client, page: str) -> None:
    token = page.rpartition("/")[2]

    assert client.get(f"/reports/{token}").status_code == 404


@pytest.fixture
def report(settings: Any, tmp_path: Path) -> ReportEdition:
    settings.MEDIA_ROOT = tmp_path
    building.ensure(reports.named("weekly"), Week(2026, 46), now=datetime(2026, 11, 16, 9, tzinfo=UTC))
    return ReportEdition.objects.get()


def test_a_report_is_read_on_the_web_without_a_login(client: Client, report: ReportEdition) -> None:
    answer = client.get(path(links.page_url(report.pk)))

    assert answer.status_code == 200
    assert answer.content.startswith(b"<!DOCTYPE html>")
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "no-store" in answer["Cache-Control"]


def test_every_form_of_it_is_offered_and_downloaded(client: Client, report: ReportEdition) -> None:
    url = path(links.page_url(report.pk))
    page = client.get(url).content.decode()

    assert set(report.files) == {"csv", "html", "pdf", "text", "xlsx"}
    for name, kept in report.files.items():
        assert f'href="?form={name}"' in page
        answer: Any = client.get(url, {"form": name})
        with default_storage.open(kept) as file:
            assert answer.getvalue() == file.read()
        assert 'attachment; filename="weekly-2026-W46.' in answer["Content-Disposition"]
        assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("form", ["docx", "../settings", "xlsx\x00"])
def test_a_form_that_is_not_kept_is_said_so(client: Client, report: ReportEdition, form: str) -> None:
    answer = client.get(path(links.page_url(report.pk)), {"form": form})

    assert answer.status_code == 410
    assert "is not kept as such a file" in answer.content.decode()


def test_its_link_ends(client: Client, report: ReportEdition, monkeypatch: pytest.MonkeyPatch) -> None:
    url = path(links.page_url(report.pk))
    monkeypatch.setattr(links, "PAGE_LASTS", timedelta(seconds=-1))

    assert client.get(url).status_code == 404
    assert client.get(url, {"form": "csv"}).status_code == 404


def test_links_made_with_the_key_before_still_work(client: Client, page: str, settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"  # noqa: S105

    assert client.get(page).status_code == 200
