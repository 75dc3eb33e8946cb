"""``manage.py erase``: what a person was named in is gone everywhere, others are as they were; it is written down."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.core.management.base import CommandError
from django_celery_results.models import TaskResult

from notifications import services
from notifications.consent.suppression_list import suppress
from notifications.consent.tables import Suppression
from notifications.tables import Delivery, Notification
from reporting.runs.tables import ReportDelivery, ReportEdition, ReportRun
from reporting.subscribing.tables import Subscription
from routing import erasing
from routing.console.result_page import result_page
from routing.erasing import Term, Unusable
from routing.ledger import audit
from routing.ledger.erasure_tables import Erasure
from routing.ledger.results import payload_removed_at
from routing.ledger.tables import DeadLetter, Message, UniqueKey
from tests import probe as typed_probe
from tests.console import specimens
from tests.inline import drain, worker
from tests.sensitive import tasks as typed_tasks
from tests.sensitive.evidence import stored
from tests.workers import ROOT, environment

probe: Any = typed_probe
tasks: Any = typed_tasks

pytestmark = pytest.mark.django_db(transaction=True)

ANN, JO = "Ann@example.org", "joann@example.org"
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> str:
        call_command("erase", *arguments)
        return capsys.readouterr().out

    return call


@pytest.fixture(autouse=True)
def balanced(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.MEDIA_ROOT = tmp_path
    yield
    assert audit.audit().balances


def tasks_of(*addresses: str) -> None:
    """Of each: three that are over, one of which has failed, and two in flight."""
    with worker():
        for address in addresses:
            tasks.charge.delay(f"for {address}", "4711")
            probe.rebuild.delay("x", note=f"to {address}")
            tasks.decline.delay(address)
            drain()
    for address in addresses:
        tasks.charge.delay("A-17", card=address)
        probe.rebuild.delay(f"of {address}")


def test_a_persons_tasks_are_gone_and_others_stay(run: Run) -> None:
    tasks_of(ANN.lower(), JO)

    counts = json.loads(run(ANN, "--yes", "--json", "--reference", "case 17"))["rows"]

    assert counts == {"tasks in flight, cancelled": 2, "results": 5, "dead letters": 1}
    assert not Term(ANN).is_in(stored())
    assert Term(JO).is_in(stored())
    assert Message.objects.count() == 2, "the other's"
    assert not UniqueKey.objects.filter(key__contains=f"of {ANN.lower()}").exists()
    assert DeadLetter.objects.filter(state="discarded", body="", error__endswith="(erased)").count() == 1
    emptied = [row for row in TaskResult.objects.all() if payload_removed_at(row)]
    assert {row.status for row in emptied} == {"SUCCESS", "FAILURE", "REVOKED"}
    assert all(result_page(row).removed for row in emptied)
    failed = next(row for row in emptied if row.status == "FAILURE")
    assert json.loads(failed.result or "")["exc_message"] == ["(erased)"]


def test_it_is_written_down_without_the_person(run: Run) -> None:
    specimens.result(kwargs={"to": ANN})

    told = run(ANN, "--yes", "--reference", "case 17")

    record = Erasure.objects.get()
    assert f"Written down as erasure {record.pk}." in told
    assert (record.reference, record.counts) == ("case 17", {"results": 1})
    assert record.by
    assert record.ended_at
    assert not Term(ANN).is_in(str(vars(record)))
    assert "case 17" in run("--history")
    assert json.loads(run("--history", "--json"))["erasures"][0]["reference"] == "case 17"


def test_a_dry_run_counts_and_changes_nothing(run: Run) -> None:
    tasks_of(ANN)
    before = stored()

    told = run(ANN, "--dry-run")

    assert "2  tasks in flight, cancelled" in told
    assert "rows mention it." in told
    assert stored() == before


def test_what_nobody_is_there_to_confirm_is_not_done(run: Run) -> None:
    specimens.result(kwargs={"to": ANN})

    with pytest.raises(CommandError, match="Add --yes"):
        run(ANN)

    assert Term(ANN).is_in(stored())


@pytest.mark.parametrize("term", ["", "ann", "a\0nnnn", "x" * 321])
def test_a_term_that_would_find_anybody_is_refused(run: Run, term: str) -> None:
    with pytest.raises(CommandError, match="Give 4 to 320 characters"):
        run(term, "--yes")


def test_the_person_does_not_get_into_the_record_by_its_reference(run: Run) -> None:
    with pytest.raises(CommandError, match="without the person"):
        run(ANN, "--yes", "--reference", f"asked for by {ANN.upper()}")


def test_what_only_this_person_was_told_goes_and_what_others_were_told_stays(run: Run) -> None:
    alone = services.notify([f"Ann <{ANN}>"], subject="Dear Ann", text="Your invoice", key=f"invoice:{ANN}")
    both = services.notify([ANN, JO], subject="News", text=f"{ANN} has joined")
    suppress(ANN, reason=Suppression.Reason.BY_HAND, by="ada")

    run(ANN, "--yes")

    alone.refresh_from_db()
    both.refresh_from_db()
    assert (alone.subject, alone.text, alone.key) == ("(erased)", "", f"erased-{alone.pk}")
    assert (both.subject, both.text) == ("News", "(erased) has joined")
    gone, also_gone, left = Delivery.objects.order_by("pk")
    assert (gone.address, gone.state, also_gone.state) == ("(erased)", "cancelled", "cancelled")
    assert (left.address, left.state) == (JO, "pending")
    assert Suppression.objects.filter(address_key=ANN.lower()).exists(), "or somebody would write to them again"
    assert Notification.objects.count() == 2


def test_reports_and_their_files_and_the_log_do_not_name_the_person(run: Run) -> None:
    Subscription.objects.update_or_create(email=ANN, report="weekly", defaults={"name": "Ann"})
    report = ReportRun.objects.create(period="2026-W46", figures={"worst": f"550 no {ANN}"})
    file = default_storage.save("reports/weekly.txt", ContentFile(f"550 no {ANN} but größer".encode()))
    book = default_storage.save("reports/weekly.xlsx", ContentFile(b"PK, wherein nobody can look for a name"))
    files = {"text": file, "xlsx": book}
    edition = ReportEdition.objects.create(run=report, document={"said": [ANN]}, files=files)
    sent = ReportDelivery.objects.create(run=report, address=ANN, key=f"weekly:2026-W46:{ANN}")
    user = User.objects.create(username="ada")
    LogEntry.objects.log_actions(user.pk, [sent], CHANGE, change_message=f"Sent again to {ANN}.", single_object=True)

    run(ANN, "--yes")

    assert not Term(ANN).is_in(stored())
    edition.refresh_from_db()
    assert edition.document == {"said": ["(erased)"]}
    with default_storage.open(edition.files["text"]) as written:
        assert written.read().decode() == "550 no (erased) but größer"
    assert edition.files == {"text": file}
    assert not default_storage.exists(book)
    assert LogEntry.objects.get().get_change_message() == "Sent again to (erased)."
    assert Subscription.objects.get(email__endswith="@erased.invalid").ended_at


def test_one_that_was_killed_is_gone_on_with(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "TOGETHER", 2)
    for number in range(5):
        specimens.result(kwargs={"to": ANN, "n": number})
    command = [sys.executable, "manage.py", "erase", ANN, "--yes"]
    killed = subprocess.run(
        command, cwd=ROOT, env=environment() | {"TASKYARD_FAULT": "erase.uncommitted"}, capture_output=True, check=False
    )
    assert killed.returncode == -9, killed.stderr.decode()
    assert TaskResult.objects.filter(task_kwargs__contains=ANN).count() == 5, "its transaction was rolled back"
    before = Erasure.objects.get()

    run(ANN, "--yes")

    after = Erasure.objects.get()
    assert (after.pk, before.ended_at, after.counts["results"]) == (before.pk, None, 5)
    assert after.ended_at
    assert not Term(ANN).is_in(stored())
    assert os.environ.get("TASKYARD_FAULT") is None


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ann@example.org", True),
        ("Ann <ANN@EXAMPLE.ORG>, and others", True),
        ("mailto:ann@example.org?subject=x", True),
        ("I wrote to ann@example.org.", True),
        ("joann@example.org", False),
        ("ann@example.org.uk", False),
        ("ann@example.organic", False),
        ("x.ann@example.org", False),
    ],
)
def test_a_person_is_found_as_a_word_of_its_own(text: str, found: bool) -> None:
    assert Term(ANN).is_in(text) is found


@pytest.mark.any_database
def test_it_is_found_as_json_writes_it_and_where_it_is_sealed() -> None:
    sealed = json.dumps(tasks.charge.secret.sealed(["A-17"], {"card": "Jürgen Groß"}))

    assert Term("Jürgen Groß").is_in(json.dumps("an Jürgen Groß"))
    assert Term("Jürgen Groß").is_in(sealed)
    assert not Term("Jürgen Gros").is_in(sealed)
    with pytest.raises(Unusable):
        Term(" x ")
