"""Ten thousand recipients: no more memory than a thousand, and a fixed number of questions for each batch."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reporting.models import ReportDelivery, ReportRun, Subscription
from reporting.runs.sending import BATCH
from routing.ledger.tables import Message
from tests.reporting.subscribers import BEGAN
from tests.workers import ROOT, environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_database]

PEOPLE = 10_000
NINE = datetime(2026, 11, 16, 9, tzinfo=UTC)
EACH_BATCH = 8
"""Questions: begin, who waits, their rows, which of them are ours, tasks, commit, and two to spare."""
MOST = 30_000
"""Kilobytes that it may grow by, after the first thousand."""
DISPATCH = """
import sys, django; django.setup()
from datetime import datetime
from celery import current_app
from django.db import connection
from benchmarks.cleaning import memory
from reporting.runs import dispatching
# As a worker has them.
current_app.loader.import_default_modules()
asked = 0
def count(execute, sql, params, many, context):
    global asked
    asked += 1
    return execute(sql, params, many, context)
with connection.execute_wrapper(count):
    sent = sum(done.sent for done in dispatching.dispatch(now=datetime.fromisoformat(sys.argv[1])))
print(sent, asked, memory.most())
"""


def dispatch(folder: Path, now: datetime) -> tuple[int, int, int]:
    """Sent, questions to the database, and the most memory that was used, in kilobytes, by a process of its own."""
    variables = environment() | {"DJANGO_SETTINGS_MODULE": "project.settings", "TASKYARD_VAR": str(folder)}
    command = [sys.executable, "-c", DISPATCH, now.isoformat()]
    done = subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, text=True)
    sent, asked, most = map(int, done.stdout.split())
    return sent, asked, most


def subscribe(first: int, last: int, *, hour: int) -> None:
    Subscription.objects.bulk_create(
        Subscription(email=f"r{number}@example.org", counts_from=BEGAN, time_zone="UTC", hour=hour)
        for number in range(first, last)
    )


def test_ten_thousand_take_the_memory_of_a_thousand(tmp_path: Path) -> None:
    subscribe(0, 1_000, hour=9)
    subscribe(1_000, PEOPLE, hour=10)

    few, many = dispatch(tmp_path, NINE), dispatch(tmp_path, NINE.replace(hour=10))

    assert (few[0], many[0]) == (1_000, PEOPLE - 1_000)
    assert many[1] - few[1] <= EACH_BATCH * (PEOPLE - 2_000) // BATCH
    assert many[2] - few[2] < MOST
    assert ReportDelivery.objects.count() == PEOPLE
    assert Message.objects.filter(task="notifications.notify").count() == PEOPLE
    assert ReportRun.objects.get().state == ReportRun.State.SENT
