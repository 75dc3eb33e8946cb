"""LastStep: what a body writes down last, and its outcome, are kept together or not at all."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError
from django_celery_results.models import TaskResult

from project import celery_app
from routing.last_step import LastStep
from routing.ledger import audit, completion, database
from routing.ledger.tables import Message
from routing.worker import running
from tests.inline import deliver, drain, outcomes, worker

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "reporting.test_last_step"


@pytest.fixture(autouse=True)
def owner() -> Iterator[int]:
    with worker() as owner:
        yield owner
        assert audit.audit().balances


@pytest.fixture
def declare() -> Iterator[Callable[..., Any]]:
    task: Any = celery_app.task
    # Not shared with other applications, which would meet it again under each body.
    yield lambda body, **options: task(name=NAME, shared=False, **options)(body)
    celery_app.tasks.pop(NAME, None)


def written(name: str) -> str:
    return str(Group.objects.create(name=name).name)


def keeps() -> LastStep:
    written("body")
    return LastStep(lambda: f"{written('step')} of {database.connection().in_atomic_block}")


def fails() -> LastStep:
    def step() -> None:
        written("step")
        raise ValueError("no such step")

    written("body")
    return LastStep(step)


def groups() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))


@pytest.mark.parametrize("atomic", [False, True])
def test_what_it_returns_is_the_tasks_value_and_it_runs_in_the_outcomes_transaction(
    declare: Callable[..., Any], atomic: bool
) -> None:
    result = declare(keeps, atomic=atomic).delay()
    drain()

    assert outcomes() == {result.id: ("SUCCESS", "step of True")}
    assert groups() == ["body", "step"]


def test_what_it_raises_is_the_tasks_failure_and_undoes_the_step_alone(declare: Callable[..., Any]) -> None:
    result = declare(fails).delay()
    drain()

    assert TaskResult.objects.get(task_id=result.id).status == "FAILURE"
    assert groups() == ["body"]


def test_it_runs_again_where_the_database_goes_away_under_it(
    declare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, calls = completion.complete, list[str]()

    def once_away(*given: Any, **options: Any) -> bool:
        calls.append("complete")
        if len(calls) == 1:
            raise OperationalError("the server closed the connection unexpectedly")
        return complete(*given, **options)

    monkeypatch.setattr(running, "complete", once_away)
    result = declare(keeps).delay()
    drain()

    assert len(calls) == 2
    assert outcomes() == {result.id: ("SUCCESS", "step of True")}
    assert groups() == ["body", "step"]


def test_it_is_kept_although_another_run_has_the_outcome_to_record(declare: Callable[..., Any]) -> None:
    def overtaken() -> LastStep:
        # Declared dead meanwhile, it was given out anew.
        Message.objects.update(epoch=2, owner=None)
        return LastStep(lambda: written("step"))

    declare(overtaken).delay()
    deliver(Message.objects.get())

    assert groups() == ["step"]
    assert not TaskResult.objects.exists()
    assert Message.objects.get().epoch == 2
    Message.objects.update(epoch=1)
    drain()


@pytest.mark.parametrize("call", [lambda task: task(), lambda task: task.apply().get()])
def test_where_there_is_no_ledger_it_is_done_at_once(declare: Callable[..., Any], call: Callable[[Any], Any]) -> None:
    assert call(declare(keeps)) == "step of True"
    assert groups() == ["body", "step"]
