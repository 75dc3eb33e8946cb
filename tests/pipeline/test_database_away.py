"""What happens to a task whose outcome cannot be stored, because PostgreSQL is away."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django_celery_results.models import TaskResult

from tests import probe
from tests.services import Postgresql
from tests.waiting import until
from tests.workers import Process

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]


def test_an_outcome_waits_for_the_database(
    start_worker: Callable[..., Process], database_server: Postgresql | None, tmp_path: Path
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    worker = start_worker("reporting")
    release = tmp_path / "release"
    result = probe.wait_for_file.delay(str(tmp_path / "journal"), str(release))
    until(lambda: TaskResult.objects.filter(task_id=result.id, status="STARTED").exists(), what="the run")

    database_server.stop()
    connection.close()
    release.touch()
    until(lambda: worker.says("The database cannot be reached"), what="the worker to notice")
    database_server.start()

    until(lambda: result.state == "SUCCESS", what="the outcome")
    assert result.get() == 1


def test_a_task_whose_claim_meets_no_database_for_long_is_given_back(
    start_worker: Callable[..., Process], database_server: Postgresql | None, tmp_path: Path
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    result = probe.hurry.delay(str(tmp_path / "journal"))

    database_server.stop()
    connection.close()
    worker = start_worker("reporting")
    until(lambda: worker.says("requeue=True"), what="the worker to give it back")
    database_server.start()

    until(lambda: result.state == "SUCCESS", what="the outcome")
    assert result.get() == 1
