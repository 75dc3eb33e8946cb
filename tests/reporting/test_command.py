"""``manage.py report weekly``, as a newcomer meets it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from reporting.documents.document import Document
from reporting.models import ReportRun
from reporting.reports.broken_now import BrokenNow
from reporting.weeks import Week
from routing.ledger.tables import Message
from tests.dead_broker import absent_broker
from tests.reporting.subscribers import subscribe
from tests.reporting.test_weekly import Mails, mails
from tests.stored_results import store

__all__ = ["absent_broker", "mails"]

pytestmark = pytest.mark.django_db

LAST_WEEK = Week.of(timezone.now()).previous()


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What the command prints, line by line."""
    call_command("report", "weekly", *arguments)
    return capsys.readouterr().out.splitlines()


def test_it_sends_last_weeks_report_to_the_recipients(mails: Mails, capsys: pytest.CaptureFixture[str]) -> None:
    subscribe("ann@example.com")
    store(done_at=LAST_WEEK.starts_at)

    lines = report(capsys)

    assert lines[0] == LAST_WEEK.words
    assert lines[1:] == [
        "The one task is accounted for.",
        "1 mail handed to the notifications domain, which sends it.",
    ]
    assert mails.addresses == ["ann@example.com"]


def test_it_says_who_had_it_already(mails: Mails, capsys: pytest.CaptureFixture[str]) -> None:
    subscribe("ann@example.com")
    report(capsys)

    assert report(capsys)[-1] == "1 recipient had it already; --to ADDRESS sends it again."


def test_it_says_what_to_do_without_recipients(mails: Mails, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Add some in the admin, or name one with --to ADDRESS." in report(capsys)[-1]


def test_named_addresses_alone_get_it(mails: Mails, capsys: pytest.CaptureFixture[str]) -> None:
    subscribe("ann@example.com")

    report(capsys, "--to", "bob@example.com", "--to", "cyd@example.com")

    assert mails.addresses == ["bob@example.com", "cyd@example.com"]


def test_the_running_week_is_made_so_far(mails: Mails, capsys: pytest.CaptureFixture[str]) -> None:
    lines = report(capsys, "--week", str(LAST_WEEK.next()))

    assert lines[0].endswith(", so far")


def test_files_are_written_and_nothing_is_sent(
    mails: Mails, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    subscribe("ann@example.com")

    report(capsys, "--out", str(tmp_path / "new" / "folder"))

    written = sorted(file.name for file in (tmp_path / "new" / "folder").iterdir())
    assert written == ["weekly.csv", "weekly.html", "weekly.pdf", "weekly.txt", "weekly.xlsx"]
    assert not mails.sent
    assert not ReportRun.objects.exists()


def test_one_form_is_written_alone(tmp_path: Path) -> None:
    call_command("report", "weekly", "--out", str(tmp_path), "--form", "xlsx")

    assert [file.name for file in tmp_path.iterdir()] == ["weekly.xlsx"]


@pytest.fixture
def _without_xlsxwriter(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python knows a module that cannot be imported."""
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)


@pytest.mark.usefixtures("_without_xlsxwriter")
def test_a_form_that_cannot_be_made_here_is_left_out_with_the_cure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    call_command("report", "weekly", "--out", str(tmp_path))

    assert "weekly.csv" in [file.name for file in tmp_path.iterdir()]
    assert not (tmp_path / "weekly.xlsx").exists()
    assert "weekly.xlsx is left out. XlsxWriter is not installed: pip install" in capsys.readouterr().err


@pytest.mark.usefixtures("_without_xlsxwriter")
def test_a_form_that_is_asked_for_and_cannot_be_made_here_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"pip install 'taskyard\[xlsx\]'"):
        call_command("report", "weekly", "--out", str(tmp_path), "--form", "xlsx")


def test_a_script_reads_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    store(done_at=LAST_WEEK.starts_at)

    (line,) = report(capsys, "--json", "--domain", "notifications")

    read = Document.from_json(json.loads(line))
    assert (read.period, read.domains) == (str(LAST_WEEK), ("notifications",))
    assert read.verdict == "The one task is accounted for."


def test_another_report_is_written_too(tmp_path: Path) -> None:
    call_command("report", "broken-now", "--out", str(tmp_path))

    assert (tmp_path / "broken-now.txt").read_text().startswith("WHAT IS BROKEN NOW")


def test_another_report_is_sent_too(mails: Mails, capsys: pytest.CaptureFixture[str]) -> None:
    subscribe("ann@example.com", report="broken-now")

    # No beat and no relay runs in a test.
    call_command("report", "broken-now")

    assert mails.addresses == ["ann@example.com"]
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 mail handed")


def test_a_report_that_has_nothing_to_tell_says_so(
    mails: Mails, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BrokenNow, "is_worth_sending", lambda _self, _document: False)
    subscribe("ann@example.com", report="broken-now")

    call_command("report", "broken-now")

    assert not mails.sent
    assert "nothing to tell" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["--week", "46"], "such as 2026-W46"),
        (["--week", "2025-W53"], "2025-W01 to 2025-W52"),
        (["--week", "9000-W01"], "lies in the future"),
        (["--to", "jane"], "--to jane@example.com"),
        (["--to", "jane@example.com", "--out", "."], "choose one"),
        (["--out", "/dev/null/folder"], "folder that you may write to"),
        (["--period", "yesterday"], "such as 2026-W46"),
        (["--domain", "billing", "--json"], "maintenance, notifications, reporting"),
        (["--domain", "reporting"], "--out DIR"),
        (["--form", "csv"], "--out DIR"),
        (["--form", "docx", "--out", "."], "invalid choice"),
    ],
)
def test_what_is_wrong_names_the_cure(mails: Mails, arguments: list[str], cure: str) -> None:
    with pytest.raises(CommandError, match=cure):
        call_command("report", "weekly", *arguments)

    assert not mails.sent


def test_a_broker_that_is_away_keeps_no_report_from_being_handed_over(absent_broker: Any) -> None:
    call_command("report", "weekly", "--to", "ann@example.com")

    assert Message.objects.get().task == "notifications.notify"
