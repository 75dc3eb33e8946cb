"""The weekly report through real worker pools, to files in the mail folder."""

import email
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from celery import current_app, states
from django_celery_results.models import TaskResult

from reporting.weeks import Week
from tests.reporting.subscribers import subscribe
from tests.stored_results import store
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.pipeline, pytest.mark.django_db(transaction=True)]

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the workers put the mails that they would send."""
    monkeypatch.setenv("TASKYARD_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("EMAIL_URL", f"filemail:///{tmp_path / 'mail'}")
    return tmp_path / "mail"


def sent(folder: Path) -> dict[str, EmailMessage]:
    messages = [email.message_from_bytes(file.read_bytes(), policy=default) for file in folder.iterdir()]
    return {str(message["To"]): message for message in messages}


def finished(task: str) -> int:
    return int(TaskResult.objects.filter(task_name=task, status=states.SUCCESS).count())


def test_a_report_delivered_twice_reaches_each_recipient_once(folder: Path, start_worker: Any) -> None:
    subscribe(ANN)
    subscribe(BOB, attached="pdf,xlsx")
    store("notifications.send_email", done_at=Week(2026, 45).starts_at, status=states.FAILURE)
    for queue in ("reporting", "notifications", "notifications.bulk"):
        start_worker(queue)

    for _ in range(2):
        current_app.send_task("reporting.weekly", kwargs={"week": "2026-W45"})

    until(lambda: finished("reporting.weekly") == 2, what="both runs")
    until(lambda: finished("notifications.deliver") == 2, what="both mails")
    assert sorted(sent(folder)) == [ANN, BOB]
    message = sent(folder)[ANN]
    assert "One-Click" in message["List-Unsubscribe-Post"]
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    files = list(sent(folder)[BOB].iter_attachments())
    assert [file.get_filename() for file in files] == ["weekly-2026-W45.pdf", "weekly-2026-W45.xlsx"]
    assert [file.get_content()[:4] for file in files] == [b"%PDF", b"PK\x03\x04"]
