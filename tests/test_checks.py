"""System checks: what does not fit together is found before anything starts."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.utils.module_loading import autodiscover_modules

from routing import domains
from routing.checks import check_domains
from routing.domains import Domain, Lane

autodiscover_modules("tasks")
MINE = Domain(name="reporting", tasks=("*",))


@pytest.fixture
def declare(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Declare these domains and no others."""

    def declare(*declared: Domain) -> None:
        monkeypatch.setattr("project.domains.DOMAINS", declared)
        domains.registry.cache_clear()

    yield declare
    domains.registry.cache_clear()


def found() -> dict[str, str]:
    """Check id → message and hint."""
    return {str(message.id): f"{message.msg} {message.hint}" for message in check_domains()}


def test_the_project_itself_has_no_findings() -> None:
    assert found() == {}


def test_a_task_without_a_domain_is_an_error(declare: Any) -> None:
    declare(Domain(name="notifications"), Domain(name="maintenance"))

    assert "'reporting.weekly'" in found()["routing.E001"]


def test_two_domains_claiming_one_task_is_an_error(declare: Any) -> None:
    declare(MINE, Domain(name="maintenance"))

    assert "reporting, maintenance" in found()["routing.E002"]


def test_a_task_that_names_an_unknown_queue_is_an_error(declare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(MINE)
    monkeypatch.setattr(current_app.tasks["reporting.weekly"], "queue", "reporting.slow", raising=False)

    assert "'reporting.slow'" in found()["routing.E003"]


def test_a_hard_limit_at_the_brokers_consumer_timeout_is_an_error(declare: Any, settings: Any) -> None:
    declare(Domain(name="reporting", tasks=("*",), time_limit=settings.TASKYARD_CONSUMER_TIMEOUT))

    assert "BROKER_CONSUMER_TIMEOUT" in found()["routing.E004"]


def test_a_tasks_own_hard_limit_at_the_consumer_timeout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.tasks["reporting.weekly"], "time_limit", 7200)

    assert "'reporting.weekly'" in found()["routing.E004"]


def test_messages_held_too_long_behind_others_are_warned_of(declare: Any) -> None:
    declare(Domain(name="reporting", tasks=("*",), lanes=(Lane("default", prefetch=10),)))

    assert "prefetch" in found()["routing.W001"]


def test_a_schedule_entry_for_an_unknown_task_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"task": "reporting.wekly", "schedule": 60, "options": {"queue": "nowhere"}}
    monkeypatch.setitem(current_app.conf.beat_schedule, "typo", entry)

    assert "'reporting.wekly'" in found()["routing.E006"]
    assert "'nowhere'" in found()["routing.E003"]
