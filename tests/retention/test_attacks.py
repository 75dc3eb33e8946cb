"""Clean-ups that are killed, stopped and run twice: what is expired goes once, and the books balance after each."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery import states
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.ledger import audit, retention, settle
from routing.ledger.cleanup_tables import Cleanup, Removal
from routing.ledger.retention import results
from routing.ledger.settle import Fence
from tests.retention.old_rows import store_many
from tests.services import DATABASE
from tests.stored_results import SUCCESS, in_flight
from tests.waiting import until
from tests.workers import ROOT, Process, environment

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timezone.now() - timedelta(days=200)
StartCleanup = Callable[..., Process]
postgresql = pytest.mark.skipif(DATABASE != "postgresql", reason="SQLite has one writer at a time")


@pytest.fixture
def start_cleanup(tmp_path: Path) -> Iterator[StartCleanup]:
    started: list[Process] = []

    def start(**variables: str) -> Process:
        command = [sys.executable, "manage.py", "cleanup", "--json"]
        process = Process(command, tmp_path / f"cleanup.{len(started)}.log", **variables)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def removed() -> int:
    return int(Removal.objects.filter(kind="results").aggregate(rows=Sum("count"))["rows"] or 0)


@pytest.mark.parametrize(("fault", "went"), [("cleanup.removed", 0), ("cleanup.committed", 1_000)])
def test_what_a_killed_clean_up_committed_is_written_down_and_the_next_one_goes_on(
    start_cleanup: StartCleanup, fault: str, went: int
) -> None:
    """Within a batch nothing of it has happened; between two, the first one has, with its record."""
    store_many(1_500, done_at=LONG_AGO)

    assert start_cleanup(fault=fault).popen.wait(120) == -signal.SIGKILL

    assert TaskResult.objects.count() == 1_500 - went
    assert removed() == went
    assert audit.audit().balances

    assert start_cleanup().popen.wait(120) == 0
    assert not TaskResult.objects.exists()
    assert removed() == 1_500
    assert audit.audit().balances
    assert [cleanup.complete for cleanup in Cleanup.objects.order_by("pk")] == [False, True]


def test_a_clean_up_that_is_told_to_stop_ends_its_batch_and_says_what_went(
    start_cleanup: StartCleanup, tmp_path: Path
) -> None:
    store_many(3_000, done_at=LONG_AGO)
    held = {"TASKYARD_FAULT_CALL": "tests.retention.holding.hold", "HOLDING_FOLDER": str(tmp_path)}
    cleanup = start_cleanup(TASKYARD_FAULT="cleanup.removed", **held)
    until((tmp_path / "held").exists, what="its first batch of results")

    cleanup.popen.terminate()
    (tmp_path / "go").touch()

    assert cleanup.popen.wait(120) == 130
    went = 3_000 - TaskResult.objects.count()
    assert 0 < went < 3_000
    told = json.loads("{" + cleanup.log.read_text().partition("{")[2])
    assert (told["total"], told["complete"]) == (went, False)
    assert removed() == went
    assert audit.audit().balances


def test_two_clean_ups_at_once_remove_and_count_each_row_once(start_cleanup: StartCleanup) -> None:
    store_many(4_000, done_at=LONG_AGO)
    store_many(500, done_at=LONG_AGO, task="notifications.send_email", domain="notifications", status=states.FAILURE)

    both = [start_cleanup(), start_cleanup()]

    assert [cleanup.popen.wait(120) for cleanup in both] == [0, 0]
    # One may have passed over what the other one held, which then has removed it.
    assert not TaskResult.objects.exists()
    assert removed() == 4_500
    assert audit.audit().balances


@postgresql
def test_a_settlement_a_reader_and_another_clean_up_do_not_wait_for_a_batch(
    start_cleanup: StartCleanup, tmp_path: Path
) -> None:
    store_many(50, done_at=LONG_AGO)
    running = in_flight("reporting.weekly", state=states.STARTED, owner=1)
    held = {"TASKYARD_FAULT_CALL": "tests.retention.holding.hold", "HOLDING_FOLDER": str(tmp_path)}
    cleanup = start_cleanup(TASKYARD_FAULT="cleanup.removed", **held)
    until((tmp_path / "held").exists, what="a batch that is not committed")

    with connection.cursor() as cursor:
        # Whoever waits for anybody here fails.
        cursor.execute("SET lock_timeout = '1s'")
        assert settle.settle(Fence(task_id=running.pk, epoch=1, owner=1), SUCCESS)
        assert TaskResult.objects.count() == 51
        assert retention.prune(now=timezone.now()).complete
        assert TaskResult.objects.count() == 51
        cursor.execute("RESET lock_timeout")

    (tmp_path / "go").touch()
    assert cleanup.popen.wait(120) == 0
    assert TaskResult.objects.get().task_id == running.pk


@postgresql
def test_a_row_that_somebody_holds_stays_alone() -> None:
    store_many(500, done_at=LONG_AGO)
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            held = TaskResult.objects.order_by("pk")[250].pk
            cursor.execute("SELECT FROM django_celery_results_taskresult WHERE id = %s FOR UPDATE", [held])

        assert retention.prune(now=timezone.now()).complete

        assert TaskResult.objects.get().pk == held
        assert removed() == 499
    finally:
        other.close()
    assert retention.prune(now=timezone.now()).removed.total() == 1
    assert audit.audit().balances


@postgresql
def test_what_follows_a_batch_in_its_transaction_may_wait_for_locks() -> None:
    store_many(20, done_at=LONG_AGO)

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '7s'")
        batches = [kind.batch(100) for kind in results.expired(timezone.now())]
        assert sum(batch.removed.total() for batch in batches) == 20
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("7s",)


@postgresql
def test_a_batch_that_takes_too_long_is_undone_and_tried_with_fewer_rows() -> None:
    """A trigger, such as audit packages install, makes each row slow: a thousand would take twenty seconds."""
    store_many(120, done_at=LONG_AGO)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.02); RETURN OLD; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER slow BEFORE DELETE ON django_celery_results_taskresult FOR EACH ROW EXECUTE FUNCTION slow()"
        )
    lengths: list[float] = []
    pace = retention.Pace(rest=0)
    took = pace.took
    pace.took = lambda seconds: lengths.append(seconds) or took(seconds)  # type: ignore[method-assign,func-returns-value]
    try:
        pruned = retention.prune(now=timezone.now(), pace=pace)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION slow CASCADE")

    assert pruned.removed.total() == 120
    assert not TaskResult.objects.exists()
    assert max(lengths) < 1


PROGRAM = r"""
import re, sys, django
django.setup()
from django.core.management import call_command
from django.db.models.signals import post_delete, pre_delete

def hear(**_):
    raise SystemExit("a row was loaded to be deleted")

post_delete.connect(hear); pre_delete.connect(hear)
call_command("cleanup", "--json", stdout=open("/dev/null", "w"))
# Not getrusage, which begins with the memory of whoever started this.
sys.stdout.write(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
"""


def _megabytes() -> float:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**environment(), "DJANGO_SETTINGS_MODULE": "project.settings"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(ran.stdout.strip().splitlines()[-1]) / 1024


def test_its_memory_does_not_grow_with_what_there_is_to_remove() -> None:
    """Of 3,000 results of 32 KB each, which are 96 MB, with receivers of the delete signals installed."""
    store_many(10, done_at=LONG_AGO)
    few = _megabytes()
    store_many(3_000, done_at=LONG_AGO, payload="x" * 16_000)

    many = _megabytes()

    assert not TaskResult.objects.exists()
    assert many < 150
    assert many - few < 12
