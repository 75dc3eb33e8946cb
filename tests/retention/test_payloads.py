"""Payloads go before outcomes: the row stays in the books, and says what became of its arguments and result."""

import json
from datetime import timedelta

import pytest
from celery import states
from celery.result import AsyncResult
from django.test import Client
from django.utils import timezone
from django_celery_results.models import TaskResult

from project.celery import app
from routing.domains import Domain, Registry, Retention
from routing.ledger import audit, retention
from routing.ledger.results import payload_removed_at
from routing.ledger.retention import What
from tests.console.conftest import viewer
from tests.console.specimens import result
from tests.retention.old_rows import store_many

__all__ = ["viewer"]

pytestmark = pytest.mark.django_db

NOW = timezone.now()
DAY = timedelta(days=1)
ERROR = {"exc_type": "ValueError", "exc_message": ["no such invoice"], "exc_module": "builtins"}


@pytest.fixture(autouse=True)
def domains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payloads of reporting are kept for 3 days, its successes for 30, its failures for 60; others keep theirs."""
    kept = Retention(success=30 * DAY, failure=60 * DAY, payload=3 * DAY)
    registry = Registry([Domain(name="reporting", retention=kept), Domain(name="billing")])
    monkeypatch.setattr("routing.ledger.retention.policy.registry", lambda: registry)


def one(age: timedelta, **fields: object) -> TaskResult:
    row = result("reporting.weekly", kwargs={"name": "Ann"}, outcome={"mails": 3}, **fields)  # type: ignore[arg-type]
    TaskResult.objects.filter(pk=row.pk).update(date_done=NOW - age)
    return row


def test_a_payload_goes_and_its_outcome_stays() -> None:
    old, young = one(4 * DAY, meta={"domain": "reporting", "queue": "reporting"}), one(2 * DAY)

    pruned = retention.prune(now=NOW)

    assert pruned.removed == {What("payloads", "reporting", "success"): 1}
    old.refresh_from_db()
    young.refresh_from_db()
    assert (old.status, old.result, old.task_args, old.task_kwargs) == (states.SUCCESS, None, None, None)
    assert payload_removed_at(old) == NOW
    assert json.loads(old.meta)["queue"] == "reporting"
    assert json.loads(young.task_kwargs) == {"name": "Ann"}
    assert AsyncResult(old.task_id, app=app).get(timeout=1) is None


def test_the_error_of_a_failure_is_its_outcome_and_stays() -> None:
    row = one(4 * DAY, status=states.FAILURE, traceback="Traceback")
    TaskResult.objects.filter(pk=row.pk).update(result=json.dumps(ERROR))

    retention.prune(now=NOW)

    row.refresh_from_db()
    assert (row.task_kwargs, json.loads(row.result), row.traceback) == (None, ERROR, "Traceback")


@pytest.mark.parametrize("meta", [None, "", "{}", "{ }", "[1]", "not JSON", '{"children": []}'])
def test_whatever_other_programs_wrote_as_meta_stays_readable(meta: str | None) -> None:
    row = one(4 * DAY)
    TaskResult.objects.filter(pk=row.pk).update(meta=meta)

    retention.prune(now=NOW)

    row.refresh_from_db()
    assert row.task_kwargs is None
    if meta in ("[1]", "not JSON"):
        assert row.meta == meta
    else:
        assert payload_removed_at(row) == NOW
        assert json.loads(row.meta) == {**json.loads(meta or "{}"), "payload_removed_at": NOW.isoformat()}


def test_a_row_without_a_payload_is_left_alone_and_none_is_emptied_twice() -> None:
    row = result("reporting.weekly")
    TaskResult.objects.filter(pk=row.pk).update(
        date_done=NOW - 4 * DAY, task_args="[]", task_kwargs="{}", result="null"
    )
    one(4 * DAY)

    assert retention.prune(now=NOW).removed.total() == 1
    assert retention.prune(now=NOW).removed.total() == 0
    assert payload_removed_at(TaskResult.objects.get(pk=row.pk)) is None


def test_the_books_count_only_rows_that_went() -> None:
    store_many(5, done_at=NOW - 4 * DAY)
    store_many(3, done_at=NOW - 31 * DAY)

    pruned = retention.prune(now=NOW, pace=retention.Pace(rows=2, most=2, rest=0))

    assert pruned.removed == {What("results", "reporting", "success"): 3, What("payloads", "reporting", "success"): 5}
    assert audit.audit().balances


def test_the_nightly_one_goes_on_where_the_last_one_ended() -> None:
    """What came with an old date since then goes at the weekly one that goes through everything."""
    store_many(2, done_at=NOW - 4 * DAY)
    assert retention.prune(now=NOW).removed.total() == 2
    store_many(1, done_at=NOW - 5 * DAY)
    store_many(1, done_at=NOW - 3 * DAY + timedelta(hours=1))

    tomorrow = NOW + DAY
    assert retention.prune(now=tomorrow, whole=False).removed.total() == 1
    assert retention.prune(now=tomorrow + 7 * DAY, whole=False).removed.total() == 1
    assert not TaskResult.objects.exclude(task_kwargs=None).exists()


def test_the_page_of_such_a_result_says_so(viewer: Client) -> None:
    success, failure = one(4 * DAY), one(4 * DAY, status=states.FAILURE)
    TaskResult.objects.filter(pk=failure.pk).update(result=json.dumps(ERROR))
    retention.prune(now=NOW)

    first, second = (
        viewer.get(f"/admin/django_celery_results/taskresult/{row.pk}/change/").content.decode()
        for row in (success, failure)
    )

    assert "Its arguments and result were removed by retention on" in first
    assert "It was called without arguments" not in first
    assert "Its arguments were removed by retention on" in second
    assert "no such invoice" in second
