"""Exports: all of it, a few rows in memory at a time, harmless in a spreadsheet, and written into the log."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from routing.console import exports, payloads
from tests.console import specimens
from tests.console.specimens import in_flight, result

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]

TASKS, RESULTS = "/admin/routing/message/", "/admin/django_celery_results/taskresult/"
CONFIRMED = {"confirmed": "yes", "format": "csv"}


def content(response: Any) -> str:
    assert response.streaming, response.content[:500]
    return b"".join(response.streaming_content).decode()


def lines(response: Any) -> list[dict[str, str]]:
    text = content(response)
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_all_that_a_search_finds_is_in_the_file_the_newest_first(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "IN_MEMORY", 2)
    ids = [result(enqueued=timedelta(minutes=age), kwargs={"user_id": age}).task_id for age in range(5)]
    result("reporting.weekly")
    url = f"{RESULTS}all/export/?q=task:notifications.*"

    assert "Export 5 results?" in viewer.get(url).content.decode()
    found = lines(viewer.post(url, CONFIRMED))

    assert [row["id"] for row in found] == ids
    assert found[1]["kwargs"] == '{"user_id": 1}'
    entry = LogEntry.objects.get()
    assert entry.change_message == "Exported as CSV: task:notifications.*"
    assert (entry.user.get_username(), entry.object_repr) == ("viewer", "5 results, exported")


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1"])
def test_nothing_in_it_is_a_formula(viewer: Client, evil: str) -> None:
    in_flight(error=f"{evil};cmd")

    (row,) = lines(viewer.post(f"{TASKS}all/export/", CONFIRMED))

    assert row["error"].startswith("'")


def test_json_is_one_list_whatever_is_in_it(viewer: Client) -> None:
    in_flight(kwargs={"text": 'a "quoted" line\nand another'})
    in_flight(body="no json at all")

    found = json.loads(content(viewer.post(f"{TASKS}all/export/", {"confirmed": "yes", "format": "json"})))

    assert {row["args"] for row in found} == {"[]", "no json at all"}
    assert 'a \\"quoted\\" line' in found[0]["kwargs"] + found[1]["kwargs"]
    assert json.loads(content(viewer.post(f"{RESULTS}all/export/", {"confirmed": "yes", "format": "json"}))) == []


def test_a_file_ends_where_it_may_and_the_page_says_so(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from routing.console import export_page

    for module in (exports, export_page):
        monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(exports, "IN_MEMORY", 2)
    for _ in range(5):
        result()
        in_flight()

    for url in (RESULTS, TASKS):
        assert "A file holds 3 at most" in viewer.get(f"{url}all/export/").content.decode()
        assert len(lines(viewer.post(f"{url}all/export/", CONFIRMED))) == 3


def test_those_that_were_ticked_are_exported(viewer: Client) -> None:
    rows = [result() for _ in range(3)]
    chosen = {"action": "export_selected", "_selected_action": [rows[0].pk, rows[2].pk]}

    assert "Export 2 results?" in viewer.post(RESULTS, chosen).content.decode()
    found = lines(viewer.post(RESULTS, {**chosen, **CONFIRMED}))

    assert {row["id"] for row in found} == {rows[0].task_id, rows[2].task_id}
    assert (
        "Choose CSV or JSON." in viewer.post(RESULTS, {**chosen, "confirmed": "yes", "format": "exe"}).content.decode()
    )


def test_every_payload_passes_the_one_place_that_writes_them_out(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mask(stored: str | None, *, user: Any) -> str:
        return f"masked for {user.get_username()}" if stored else ""

    monkeypatch.setattr(payloads, "written", mask)
    specimens.result(status="FAILURE", kwargs={"card": "4111"}, outcome="4111", traceback="4111", task_args='["4111"]')
    in_flight(kwargs={"card": "4111"}, error="ValueError: 4111")

    for url in (RESULTS, TASKS):
        text = content(viewer.post(f"{url}all/export/", CONFIRMED))
        assert "4111" not in text
        assert "masked for viewer" in text


def test_a_stranger_exports_nothing(stranger: Client) -> None:
    for url in (RESULTS, TASKS):
        assert stranger.post(f"{url}all/export/", CONFIRMED).status_code == 403
