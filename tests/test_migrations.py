"""Migrations run while everybody works, and before the code that needs them: nobody waits long, old code goes on."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, migrations, models, transaction
from django.db.migrations.loader import MigrationLoader
from django_celery_results.models import TaskResult

from tests import probe as typed_probe
from tests.waiting import until
from tests.workers import ROOT, StartWorker, environment

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

LONGEST_WAIT = 2.0
"""Seconds: a lock is asked for one second at a time."""
FROZEN_FROM = "0004"
DROPPED = {
    "django_cele_worker_d54dd8_idx": "worker",
    "django_cele_periodi_1993cf_idx": "periodic_task_name",
    "django_cele_status_9b6201_idx": "status",
    "django_celery_results_taskresult_task_id_de0d95bf_like": "task_id varchar_pattern_ops",
}


def shipped() -> Iterator[tuple[str, Any]]:
    """The operations that later releases may add, each with its migration's name."""
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if app == "routing" and name >= FROZEN_FROM:
            yield from ((name, operation) for operation in migration.operations)


@pytest.mark.any_database
def test_what_code_of_the_release_before_needs_is_kept() -> None:
    gone = (migrations.RemoveField, migrations.RenameField, migrations.DeleteModel, migrations.RenameModel)
    assert [name for name, operation in shipped() if isinstance(operation, gone)] == []


@pytest.mark.any_database
def test_what_code_of_the_release_before_does_not_write_has_a_value() -> None:
    made = {operation.name_lower for _, operation in shipped() if isinstance(operation, migrations.CreateModel)}
    added = [each for each in shipped() if isinstance(each[1], migrations.AddField)]

    assert added
    for name, operation in added:
        field = operation.field
        has_value = field.null or field.db_default is not models.NOT_PROVIDED
        assert has_value or operation.model_name_lower in made, f"{name} adds {operation.model_name}.{operation.name}"


@contextmanager
def load(call: Callable[[], Any]) -> Iterator[list[float]]:
    """Call it again and again in a thread of its own. How many seconds each took; an error ends it, and the test."""
    took: list[float] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.005):
            began = time.monotonic()
            call()
            took.append(time.monotonic() - began)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until(lambda: took, what="the first call")
        yield took
        assert thread.is_alive(), "A call has failed."
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def before_0004(transactional_db: None) -> Iterator[None]:
    """The indexes of django-celery-results as they come; functions and columns stay, for today's code."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one lock for all writers")
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS routing_result_no_success")
        for name, columns in DROPPED.items():
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON django_celery_results_taskresult ({columns})")
        cursor.execute("DELETE FROM django_migrations WHERE app = 'routing' AND name >= '0004'")
    yield
    call_command("migrate", "routing", "0004", verbosity=0)
    call_command("migrate", "routing", fake=True, verbosity=0)


def indexes() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'django_celery_results_taskresult'")
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.pipeline
@pytest.mark.django_db(transaction=True)
def test_tasks_are_run_while_a_migration_waits_to_change_an_index(before_0004: None, start_worker: StartWorker) -> None:
    start_worker("reporting")

    with load(lambda: probe.add.delay(1, 2).get(interval=0.02)) as ran:
        with transaction.atomic():
            # An atomic task that has enqueued and settled others, and goes on.
            TaskResult.objects.create(task_id="open", status="SUCCESS")
            process = migrate("routing", "0004")
            until(is_migration_waiting, what="the migration to wait")
            before = len(ran)
            until(lambda: len(ran) > before + 20, what="tasks that are run meanwhile")
        said, _ = process.communicate(timeout=120)

    assert process.returncode == 0, said
    assert max(ran) < LONGEST_WAIT
    assert not TaskResult.objects.filter(task_name="reporting.probe_add").exclude(status="SUCCESS").exists()
    assert "routing_result_no_success" in indexes()
    assert not DROPPED.keys() & indexes()


def is_migration_waiting() -> bool:
    """As one that works concurrently does: for transactions, and not for the table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_an_index_that_was_broken_off_is_made_again(before_0004: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX routing_result_no_success ON django_celery_results_taskresult (date_done)")
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'routing_result_no_success'::regclass"
        )

    call_command("migrate", "routing", "0004", verbosity=0)

    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'routing_result_no_success'::regclass")
        assert cursor.fetchone() == (True,)


def migrate(*options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "manage.py", "migrate", *options]
    variables = environment() | {"DJANGO_SETTINGS_MODULE": "tests.migrating.settings"}
    return subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def without_trial(transactional_db: None) -> Iterator[None]:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one lock for all writers")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE routing_message DROP COLUMN IF EXISTS trial")
        cursor.execute("DELETE FROM django_migrations WHERE app = 'migrating'")


@pytest.mark.usefixtures("without_trial")
@pytest.mark.django_db(transaction=True)
def test_nobody_waits_behind_a_migration_that_waits_for_a_long_task() -> None:
    with load(lambda: probe.add.delay(1, 2)) as took:
        with transaction.atomic():
            # As an atomic task does, for as long as it runs.
            probe.add.delay(3, 4)
            process = migrate("migrating")
            assert process.stdout is not None
            said = next(line for line in process.stdout if "in use" in line)
        process.communicate(timeout=120)

    assert process.returncode == 0
    assert "A table is in use. Once more in 2 s, so that nobody waits behind us." in said
    assert max(took) < LONGEST_WAIT
    probe.add.delay(5, 6)


@pytest.mark.usefixtures("without_trial")
@pytest.mark.django_db(transaction=True)
def test_a_migration_that_cannot_have_its_lock_gives_up_with_the_cure() -> None:
    with transaction.atomic():
        probe.add.delay(3, 4)
        process = migrate("migrating", "--give-up-after=1")
        said, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "A table was in use for all of 1 s." in said
    assert "Traceback" not in said


@pytest.mark.any_database
def test_a_wrong_patience_is_refused() -> None:
    process = migrate("--give-up-after=soon")
    said, _ = process.communicate(timeout=120)

    assert process.returncode != 0
    assert "'soon' is no number of seconds from 0 on" in said
