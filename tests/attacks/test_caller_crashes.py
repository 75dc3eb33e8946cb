"""A caller dies while it enqueues: all of what it sent together is promised, or nothing is."""

import subprocess
import sys
from pathlib import Path

import pytest
from django_celery_results.models import ChordCounter

from routing.ledger import audit
from routing.ledger.tables import Message, Outbox
from tests.waiting import until
from tests.workers import ROOT, StartWorker, environment

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]

CALLS = {
    "group": "group(probe.add.s(n, n) for n in range(3)).apply_async()",
    "chord": "chord([probe.add.s(n, n) for n in range(3)])(probe.total.s())",
    "many": "probe.add.enqueue_many([(n, n) for n in range(3)])",
    "unique": "group([probe.rebuild.s('index').set(task_id='one'), probe.add.s(1, 2)]).apply_async()",
}
SCRIPT = """
import django
django.setup()
from celery import chord, group
from tests import probe
{call}
"""


def call(how: str, *, fault: str) -> int:
    """The exit status of a program that makes the call."""
    script = SCRIPT.format(call=CALLS[how])
    variables = {**environment(), "DJANGO_SETTINGS_MODULE": "project.settings", "TASKYARD_FAULT": fault}
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=variables, check=False).returncode


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.django_db(transaction=True)
def test_a_caller_that_dies_before_its_commit_has_promised_nothing(how: str) -> None:
    assert call(how, fault="enqueue.written") == -9

    assert not Message.objects.exists()
    assert not Outbox.objects.exists()
    assert not ChordCounter.objects.exists()
    assert audit.audit().balances


def test_what_a_caller_has_committed_runs_though_it_dies_before_it_wakes_a_relay(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker("reporting")

    assert call("chord", fault="enqueue.committed") == -9

    until(lambda: audit.audit().accounts and not Message.objects.exists(), what="all outcomes")
    finished = [account.finished for account in audit.audit().accounts if account.domain == "reporting"]
    assert finished == [{"SUCCESS": 4}]
