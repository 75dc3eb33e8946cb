"""Deploys in small: pools of two releases take turns under load. ``make chaos-deploys`` is the long form."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django_celery_results.models import TaskResult

from routing.ledger import audit
from routing.ledger.tables import DeadLetter, Message
from tests import probe as typed_probe
from tests.waiting import until
from tests.workers import Process, StartWorker

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.django_db(transaction=True)]

STOP_WITHIN = 12
LONG, PLACES = 4.0, 4
"""Seconds, where a worker that is stopped goes on for two; and how many tasks two pools run at once."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "chaos"


def starts(folder: Path) -> Counter[str]:
    return Counter(line.split()[1] for line in (folder / "starts.log").read_text().splitlines())


def test_a_rolling_restart_loses_nothing_and_repeats_only_what_it_interrupts(
    start_worker: StartWorker, folder: Path
) -> None:
    folder.mkdir()
    sent: list[str] = []

    def pool(release: str) -> Process:
        variables = {"TASKYARD_CHAOS_FOLDER": str(folder), "TASKYARD_CHAOS_RELEASE": release}
        variables["TASKYARD_CHAOS_PAUSE"] = "0.5"
        options = ["--include=tests.chaos.releases", "--concurrency=2", f"--hostname={release}{len(sent)}@%h"]
        return start_worker("reporting", *options, TASKYARD_STOP_WITHIN=str(STOP_WITHIN), **variables)

    def call() -> None:
        """As many that take longer than a stopped worker goes on as two pools run, short ones, one of each release."""
        for name, *args in [*[("work", LONG)] * PLACES, *[("work", 0.01)] * 10, ("odd",), ("even",)]:
            handle = current_app.send_task(f"reporting.chaos_{name}", args, queue="reporting")
            sent.append(handle.id)

    old = pool("odd")
    for release in ("even", "odd", "even"):
        new = pool(release)
        call()
        long = Message.objects.filter(state="STARTED", body__startswith=f"[[{LONG}]")
        until(lambda: long.count() == PLACES, what="something to interrupt")  # noqa: B023
        assert old.stop() in (0, 1)
        old = new
    # What the last release does not know is known to one that comes back.
    pool("odd")
    until(lambda: not Message.objects.exists(), seconds=60, what="all outcomes")

    logs = "".join(path.read_text() for path in folder.parent.glob("reporting.*.log"))
    results = dict(TaskResult.objects.values_list("task_id", "status"))
    again = {task_id for task_id, times in starts(folder).items() if times > 1}
    assert {results.get(task_id) for task_id in sent} == {"SUCCESS"}
    assert not DeadLetter.objects.exists()
    assert again
    assert all(f"{task_id} was interrupted" in logs for task_id in again)
    assert all(starts(folder)[task_id] == 1 + logs.count(f"{task_id} was interrupted") for task_id in sent)
    assert audit.audit().balances
