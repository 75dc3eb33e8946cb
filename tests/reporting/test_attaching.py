"""The files that somebody has chosen go with their mail: those that were meant, or the mail says what is missing."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection

import notifications.tasks  # noqa: F401  (registers them)
from notifications.bodies import filled_in
from reporting import reports
from reporting.documents.document import Document
from reporting.forms import named
from reporting.models import ReportEdition, ReportRun, Subscription
from reporting.runs import attaching, building, dispatching, letters, sending
from reporting.weeks import Week
from routing.ledger.tables import Message
from tests import inline
from tests.reporting.subscribers import mails, subscribe
from tests.stored_results import store

pytestmark = pytest.mark.django_db

W46 = Week(2026, 46)
NINE = datetime(2026, 11, 16, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    attaching._rendered.cache_clear()


def dispatch(now: datetime = NINE) -> int:
    return sum(done.sent for done in dispatching.dispatch(now=now))


def files(of: dict[str, Any]) -> dict[str, bytes]:
    found = {}
    for file in of.get("attachments", []):
        with default_storage.open(file["storage_name"]) as opened:
            found[file["name"]] = opened.read()
    return found


def to(address: str) -> dict[str, Any]:
    (found,) = [one for one in mails() if one["to"] == [address]]
    return found


def test_each_gets_the_files_they_have_chosen_and_the_same_mail() -> None:
    subscribe("ann@example.org", attached="csv,xlsx")
    subscribe("bob@example.org", attached="csv")
    subscribe("cyd@example.org")
    assert dispatch() == 3

    document = Document.from_json(ReportEdition.objects.get().document)
    csv, xlsx = (named(name).render(document) for name in ("csv", "xlsx"))
    assert files(to("ann@example.org")) == {"weekly-2026-W46.csv": csv, "weekly-2026-W46.xlsx": xlsx}
    assert files(to("bob@example.org")) == {"weekly-2026-W46.csv": csv}
    assert "attachments" not in to("cyd@example.org")
    assert len({mail["html"]["sha256"] for mail in mails()}) == 1


def test_they_arrive_byte_for_byte() -> None:
    subscribe(attached="csv,xlsx", domains="notifications")
    dispatch()
    (wanted,) = map(files, mails())

    with inline.worker():
        inline.drain()

    parts = [part for part in mail.outbox[0].message().walk() if part.get_filename()]
    assert {part.get_filename(): part.get_payload(decode=True) for part in parts} == wanted
    assert list(wanted) == ["weekly-2026-W46-notifications.csv", "weekly-2026-W46-notifications.xlsx"]
    assert [part.get_content_type() for part in parts] == ["text/csv", named("xlsx").content_type]


def test_a_mails_task_holds_the_names_of_files_and_not_what_is_in_them() -> None:
    subscribe(attached="csv,xlsx")
    dispatch()

    assert len(Message.objects.get().body) < 2_000


def test_a_file_is_what_it_was_when_the_mail_was_enqueued() -> None:
    subscribe(attached="csv")
    dispatch()
    before = files(mails()[0])
    store(done_at=W46.starts_at)

    building.rebuild(reports.named("weekly"), W46, now=NINE)
    Subscription.objects.update(attached="csv,xlsx")
    sending.send_again(ReportRun.objects.get(), number=2)

    first, second = mails()
    assert files(first) == before
    assert list(files(second)) == ["weekly-2026-W46.csv", "weekly-2026-W46.xlsx"]
    assert files(second)["weekly-2026-W46.csv"] != before["weekly-2026-W46.csv"]


def test_what_is_too_large_stays_behind_and_the_mail_says_so(settings: Any) -> None:
    subscribe(attached="csv,xlsx")
    building.ensure(reports.named("weekly"), W46, now=NINE)
    document = Document.from_json(ReportEdition.objects.get().document)
    settings.TASKYARD_MAX_ATTACHMENTS = len(named("csv").render(document)) + 1
    dispatch()

    (only,) = mails()
    assert list(files(only)) == ["weekly-2026-W46.csv"]
    for body in filled_in(only).values():
        assert "Without the file that you have chosen (Excel (XLSX)): its 0.0 MB are" in " ".join(body.split())


@pytest.mark.parametrize(("chosen", "called"), [("xlsx", "Excel (XLSX)"), ("papyrus", "papyrus")])
def test_what_cannot_be_made_here_is_left_out_and_the_mail_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, chosen: str, called: str
) -> None:
    """Its library is missing, or it is a form of another release."""
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    subscribe(attached=f"csv,{chosen}")

    assert dispatch() == 1

    (only,) = mails()
    assert list(files(only)) == ["weekly-2026-W46.csv"]
    assert f"({called}): it could not be made" in " ".join(filled_in(only)["text"].split())
    assert f"goes without {chosen}" in caplog.text


def test_a_file_that_a_death_has_cut_short_is_not_used() -> None:
    subscribe("ann@example.org", attached="csv")
    subscribe("bob@example.org", attached="csv", hour=10)
    dispatch()
    whole = files(to("ann@example.org"))
    path = Path(default_storage.path(to("ann@example.org")["attachments"][0]["storage_name"]))
    path.write_bytes(path.read_bytes()[:100])

    dispatch(NINE + HOUR)

    assert files(to("bob@example.org")) == whole


def test_files_are_drawn_before_the_transaction_that_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the database need not wait for them."""
    subscribe(attached="csv")
    depths, of_edition = [], letters.of_edition

    def watched(*given: Any, **named: Any) -> Any:
        depths.append(len(connection.savepoint_ids))
        return of_edition(*given, **named)

    monkeypatch.setattr(letters, "of_edition", watched)
    outside = len(connection.savepoint_ids)
    dispatch()
    sending.send_again(ReportRun.objects.get(), number=2)

    assert depths == [outside, outside]


def test_what_is_not_worth_sending_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe(attached="csv", report="broken-now")
    monkeypatch.setattr(type(reports.named("broken-now")), "is_worth_sending", lambda *_: False)
    monkeypatch.setattr(letters, "of_edition", lambda *_, **__: pytest.fail("drawn"))

    assert dispatch() == 0


def test_whoever_orders_it_for_somebody_may_attach_files() -> None:
    call_command("report", "weekly", "--week", "2026-W46", "--to", "ann@example.org", "--form", "xlsx", "--form", "csv")

    assert list(files(mails()[0])) == ["weekly-2026-W46.csv", "weekly-2026-W46.xlsx"]


def test_the_mail_itself_is_not_attached_to_it() -> None:
    with pytest.raises(CommandError, match="What can be attached to it: csv, pdf, xlsx"):
        call_command("report", "weekly", "--to", "ann@example.org", "--form", "html")

    assert not mails()
