"""From a task's name to its queue."""

from datetime import datetime

import pytest
from celery import chain, current_app, group
from celery.exceptions import QueueNotFound
from django.utils.module_loading import autodiscover_modules

from routing.domains import registry
from routing.router import NoDomain, route

autodiscover_modules("tasks")
TASKS = sorted(name for name in current_app.tasks if not name.startswith("celery."))


def destination(task: str, *args: object) -> str:
    return str(current_app.amqp.router.route({}, task, args, {})["queue"].name)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_goes_to_its_domains_queue(task: str) -> None:
    assert destination(task) == task.split(".")[0]


def test_every_domain_has_a_task() -> None:
    assert {task.split(".")[0] for task in TASKS} >= {domain.name for domain in registry()}


def test_a_task_of_no_domain_is_refused_with_the_cure() -> None:
    with pytest.raises(NoDomain, match=r"project/domains\.py"):
        route("billing.charge", (), {}, {})


def test_built_ins_follow_the_tasks_they_contain() -> None:
    report = current_app.signature("reporting.weekly")

    assert destination("celery.map", dict(report), [[]]) == "reporting"
    assert destination("celery.chain", dict(chain(group(report), report))) == "reporting"


def test_a_built_in_that_contains_nothing_is_housekeeping() -> None:
    assert destination("celery.backend_cleanup") == "maintenance"


def test_an_undeclared_queue_is_refused_at_the_call() -> None:
    with pytest.raises(QueueNotFound, match=r"Use one of notifications, .*project/domains\.py"):
        current_app.send_task("reporting.weekly", queue="reportng")


def test_an_eta_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        current_app.send_task("reporting.weekly", eta=datetime(2026, 11, 23, 9))  # noqa: DTZ001
