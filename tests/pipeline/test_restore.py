"""A database that is restored from a backup, step by step as docs/operations.md has it."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django_celery_results.models import TaskResult

from routing.ledger import audit
from routing.ledger.tables import DeadLetter, Message, Outbox
from tests import probe as typed_probe
from tests.private_postgresql import Postgresql, programs
from tests.waiting import until
from tests.workers import StartRelay, StartWorker

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tool(database_server: Postgresql | None, tmp_path: Path) -> Callable[..., None]:
    """A program of PostgreSQL's, on the tests' database."""
    if database_server is None:
        pytest.skip("SQLite's file is copied as a whole")
    url = f"postgresql://taskyard@127.0.0.1:{database_server.port}/{connection.settings_dict['NAME']}"

    def run(program: str, *options: str) -> None:
        subprocess.run([programs() / program, f"--dbname={url}", *options], check=True, cwd=tmp_path, timeout=120)

    return run


def test_what_a_restored_database_knows_comes_to_its_outcome_and_what_it_does_not_is_kept(
    tool: Callable[..., None], start_relay: StartRelay, start_worker: StartWorker, tmp_path: Path
) -> None:
    journal = str(tmp_path / "journal")
    relay = start_relay()
    published = probe.report.delay(journal)
    until(lambda: not Outbox.objects.exists(), what="its publication")
    relay.stop()
    waiting = probe.add.delay(1, 2)
    tool("pg_dump", "--format=custom", "--file=backup")

    # After the backup: one more is accepted and published, and one that it knows has its outcome.
    relay = start_relay()
    worker = start_worker("reporting", relay=False)
    until(lambda: TaskResult.objects.count() == 2, what="their outcomes")
    worker.stop()
    unknown = probe.add.delay(3, 4)
    body = Message.objects.get(pk=unknown.id).body
    until(lambda: not Outbox.objects.exists(), what="its publication")
    relay.stop()

    connection.close()
    tool("pg_restore", "--clean", "--if-exists", "backup")
    assert {message.pk for message in Message.objects.all()} == {published.id, waiting.id}
    call_command("redrive", "--all")
    start_worker("reporting")

    until(lambda: not Message.objects.exists(), what="all outcomes")
    letter = until(lambda: DeadLetter.objects.first(), what="what the database does not know")
    assert (letter.task_id, letter.reason, letter.task) == (unknown.id, "lost", "reporting.probe_add")
    assert letter.body == body
    assert dict(TaskResult.objects.values_list("task_id", "status")) == {
        published.id: "SUCCESS",
        waiting.id: "SUCCESS",
    }
    # At least once: the backup does not know that it ran.
    assert Path(journal).read_text().split() == ["reporting.probe"] * 2
    assert audit.audit().balances

    call_command("dead_letters", "replay", "--error", "neither this task", "--yes")

    letter.refresh_from_db()
    until(lambda: TaskResult.objects.filter(task_id=letter.replayed_as, status="SUCCESS").exists(), what="its replay")
    assert audit.audit().balances
