"""Unit tests of application code: ``CELERY_TASK_ALWAYS_EAGER`` runs tasks in place, with no service at all."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import chain, group

from project import celery_app
from routing.errors import TransientError
from tests import probe as typed_probe

probe: Any = typed_probe
"""Celery's stubs know none of our options."""


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    before = celery_app.conf.task_always_eager
    celery_app.conf.task_always_eager = True
    yield
    celery_app.conf.task_always_eager = before


def test_a_task_runs_in_place() -> None:
    assert probe.add.delay(1, 2).get() == 3


def test_many_run_in_place() -> None:
    assert [result.get() for result in probe.add.enqueue_many([(1, 2), {"first": 3, "second": 4}])] == [3, 7]


def test_canvas_runs_in_place() -> None:
    assert chain(probe.add.s(1, 2), probe.add.s(3)).delay().get() == 6
    assert group(probe.add.s(1, 1), probe.add.s(2, 2)).delay().get() == [2, 4]


def test_a_passing_error_is_retried_in_place(tmp_path: Any) -> None:
    assert probe.succeed_at_third_run.delay(str(tmp_path / "journal")).get() == 3


def test_an_error_is_the_result() -> None:
    with pytest.raises(TransientError):
        probe.fail_for_a_passing_reason.delay().get()


def test_progress_and_options_do_no_harm(tmp_path: Any) -> None:
    (tmp_path / "release").touch()

    assert probe.show_progress.apply_async((str(tmp_path / "release"),), queue="maintenance", countdown=5).get() is None
