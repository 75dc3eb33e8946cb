"""System checks: what does not fit together is found before anything starts."""

from collections.abc import Iterator
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import celery
import pytest
from celery import current_app
from django.utils.module_loading import autodiscover_modules

from routing import domains
from routing.checks import check_domains
from routing.console.admin_app import check_pages
from routing.domains import Domain, Lane, RetryPolicy
from routing.worker.task import Task

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


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register a task of this class under this name, for the test's time."""

    def register(base: type, name: str = "reporting.odd") -> None:
        monkeypatch.setitem(current_app.tasks, name, type("odd", (base,), {"name": name, "run": print})())

    return register


def test_a_task_that_goes_past_the_ledger_is_an_error(register: Any) -> None:
    register(celery.Task)
    assert found().keys() == {"routing.E007"}
    assert "'reporting.odd'" in found()["routing.E007"]

    register(celery.Task, "celery.odd")
    register(current_app.Task)
    assert found() == {}


def forwards(function: Any) -> Any:
    """A decorator as people write them."""

    @wraps(function)
    def forward(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return forward


class Calling(Task):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)

    @forwards
    def before_start(self, *args: Any, **kwargs: Any) -> None:
        super().before_start(*args, **kwargs)

    def on_replace(self, sig: Any) -> Any:
        return super(Calling, self).on_replace(sig)  # noqa: UP008  (as older code has it)

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        return Task.retry(self, *args, **kwargs)


class Silent(Calling):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)


class Mixed(Silent):
    def before_start(self, *args: Any, **kwargs: Any) -> None:
        """What a tracing library may ask for."""


def test_a_task_class_that_overrides_what_the_ledger_lives_on_is_warned_of(register: Any) -> None:
    register(Calling)
    assert found() == {}

    register(Silent)
    assert "tests.test_checks.Silent overrides __call__()" in found()["routing.W002"]
    assert "super().__call__()" in found()["routing.W002"]


def test_each_class_is_warned_of_once_for_each_method(register: Any) -> None:
    register(Silent)
    register(Mixed, "reporting.even")

    warnings = sorted(message.msg.partition("()")[0] for message in check_domains())

    assert warnings == [
        "tests.test_checks.Mixed overrides before_start",
        "tests.test_checks.Silent overrides __call__",
    ]


def test_a_hard_limit_at_the_brokers_consumer_timeout_is_an_error(declare: Any, settings: Any) -> None:
    declare(Domain(name="reporting", tasks=("*",), time_limit=settings.TASKYARD_CONSUMER_TIMEOUT))

    assert "BROKER_CONSUMER_TIMEOUT" in found()["routing.E004"]


def test_a_tasks_own_hard_limit_at_the_consumer_timeout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.tasks["reporting.weekly"], "time_limit", 7200)

    assert "'reporting.weekly'" in found()["routing.E004"]


def test_messages_held_too_long_behind_others_are_warned_of(declare: Any) -> None:
    declare(Domain(name="reporting", tasks=("*",), lanes=(Lane("default", prefetch=10),)))

    assert "prefetch" in found()["routing.W001"]


def test_a_retrys_delay_is_held_by_no_worker(declare: Any) -> None:
    patient = RetryPolicy(first_delay=timedelta(days=1), max_delay=timedelta(days=9))
    declare(Domain(name="reporting", tasks=("*",), retry=patient))

    assert "routing.W001" not in found()


def test_a_schedule_entry_for_an_unknown_task_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(current_app.conf.beat_schedule, "typo", {"task": "reporting.wekly", "schedule": 60})

    assert "'typo'" in found()["routing.E006"]
    assert "Did you mean 'reporting.weekly'?" in found()["routing.E006"]


def test_a_schedule_entry_for_an_unknown_queue_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"task": "reporting.weekly", "schedule": 60, "options": {"queue": "nowhere"}}
    monkeypatch.setitem(current_app.conf.beat_schedule, "astray", entry)

    assert "'nowhere'" in found()["routing.E003"]


def test_a_worker_that_would_be_killed_before_it_has_given_back_is_an_error(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKYARD_STOP_WITHIN = 30
    monkeypatch.setitem(current_app.conf, "worker_soft_shutdown_timeout", 20)
    assert found() == {}

    monkeypatch.setitem(current_app.conf, "worker_soft_shutdown_timeout", 21)
    assert "may take 31 s" in found()["routing.E020"]
    assert "killed after 30 s" in found()["routing.E020"]


def test_admin_pages_are_checked_though_no_process_but_the_web_loads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_pages(app_configs=None) == []
    monkeypatch.setattr("routing.console.admin_messages.MessageAdmin.list_display", ("nonsense",))

    assert [error.id for error in check_pages(app_configs=None)] == ["admin.E108"]


def test_a_broker_key_that_everyone_can_read_is_warned_of(settings: Any, tmp_path: Path) -> None:
    key = tmp_path / "taskyard.key"
    key.touch()
    settings.TASKYARD_BROKER_KEY = str(key)

    key.chmod(0o644)
    assert f"chmod o= {key}" in found()["routing.W003"]
    key.chmod(0o640)
    assert found() == {}
