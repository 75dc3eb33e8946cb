"""A pool is given more and fewer processes while it works: by its size, so that an order that comes twice is one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.thread import TaskPool as ThreadPool
from django.contrib.admin.models import LogEntry
from django.test import Client
from django_celery_results.models import TaskResult

from routing.broker import remote
from routing.console import pool_deeds, pool_page
from routing.ledger.tables import Process
from routing.worker import resizing
from tests import probe as typed_probe
from tests.waiting import until
from tests.workers import StartWorker

probe: Any = typed_probe
pytestmark = [
    pytest.mark.broker,
    pytest.mark.pipeline,
    pytest.mark.one_database,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages wait for an answer as long as it takes a busy machine."""
    monkeypatch.setattr(pool_deeds, "RESIZED_WITHIN", 30.0)
    monkeypatch.setattr(pool_page, "ANSWERED_WITHIN", 30.0)


def size(row: Process) -> Any:
    return remote.ask("pool_size", [row.name], seconds=10).get(row.name)


def test_a_pool_grows_and_shrinks_and_what_it_runs_is_not_broken_off(
    start_worker: StartWorker, admin_client: Client, tmp_path: Path
) -> None:
    worker = start_worker("reporting")
    row = until(lambda: Process.objects.filter(role=Process.Role.WORKER, dead_at=None).first(), what="the worker")
    url = f"/admin/pools/worker/{row.pk}/resize/"
    assert size(row) == {"size": 1, "busy": 0}

    # Pressed twice: it names a size and not a difference.
    for _ in range(2):
        answer = admin_client.post(url, {"size": "2"}, follow=True)
        assert "has 2 processes now, until it is started anew." in answer.content.decode()
    journal, release = tmp_path / "journal", tmp_path / "release"
    tasks = [probe.wait_for_file.delay(str(journal), str(release)) for _ in range(2)]
    until(lambda: size(row) == {"size": 2, "busy": 2}, what="both processes to be at a task")
    text = admin_client.get("/admin/pools/").content.decode()
    assert "2 processes, 2 busy" in text
    assert "declared: 1" in text
    assert text.count("reporting.probe_wait") == 2

    refused = admin_client.post(url, {"size": "1"}, follow=True).content.decode()
    assert "has 2 processes now, and not 1: the others are at a task, which goes on." in refused
    release.touch()
    until(lambda: TaskResult.objects.filter(task_id__in=[task.id for task in tasks], status="SUCCESS").count() == 2)
    assert "has 1 processes now" in admin_client.post(url, {"size": "1"}, follow=True).content.decode()
    assert LogEntry.objects.filter(object_id=str(row.pk)).count() == 4

    after = probe.report.delay(str(journal))
    until(
        lambda: TaskResult.objects.filter(task_id=after.id, status="SUCCESS").exists(),
        what="a task of the smaller pool",
    )
    assert TaskResult.objects.exclude(status="SUCCESS").count() == 0
    assert not worker.is_dead


def test_a_pool_of_threads_says_that_it_cannot() -> None:
    threads: Any = SimpleNamespace(consumer=SimpleNamespace(pool=ThreadPool(2)))

    assert "cannot be resized" in resizing.resize_pool(threads, size=2)["error"]
    assert "cannot be resized" in resizing.pool_size(threads)["error"]
