"""Counters and histograms for Prometheus: exact, only ever rising, and cheap at any size."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import states
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from reporting.rollups import gathering, metrics
from reporting.rollups.tables import RollUp
from tests.retention.old_rows import store_many
from tests.stored_results import store

pytestmark = pytest.mark.django_db(transaction=True)
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
Samples = dict[tuple[str, ...], float]


def roll_up() -> None:
    gathering.roll_up(budget=timedelta(minutes=1), patience=timedelta())


def samples() -> Samples:
    class Ours(Collector):
        def collect(self) -> Any:
            return metrics.families()

    registry = CollectorRegistry()
    registry.register(Ours())
    return {
        (sample.name.removeprefix("taskyard_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_before_anything_is_counted_there_are_no_figures_and_no_error() -> None:
    assert samples() == {}


def test_outcomes_are_counted_and_never_go_back_when_hours_are_removed() -> None:
    for status in (states.SUCCESS, states.SUCCESS, states.FAILURE):
        store("reporting.weekly", done_at=NINE, queue="reporting", domain="reporting", status=status)
    roll_up()
    before = samples()
    assert before["tasks_outcomes_total", "reporting", "success"] == 2
    assert before["tasks_outcomes_total", "reporting", "failure"] == 1

    RollUp.objects.all().delete()
    store("reporting.weekly", done_at=NINE + timedelta(days=1), queue="reporting", domain="reporting")
    roll_up()

    assert samples()["tasks_outcomes_total", "reporting", "success"] == 3


def test_waits_and_runs_are_histograms_with_their_sum() -> None:
    for seconds in (0.02, 2, 2, 120):
        took = timedelta(seconds=seconds)
        store("reporting.weekly", done_at=NINE, queue="reporting", domain="reporting", took=took)
    roll_up()

    found = samples()

    counted = [found["task_run_seconds_bucket", edge, "reporting"] for edge in ("0.01", "0.05", "5.0", "60.0", "300.0")]
    assert counted == [0, 1, 3, 3, 4]
    assert found["task_run_seconds_bucket", "+Inf", "reporting"] == found["task_run_seconds_count", "reporting"] == 4
    assert found["task_run_seconds_sum", "reporting"] == pytest.approx(124.02)
    assert found["task_wait_seconds_count", "reporting"] == 4


def test_how_far_the_counting_is_behind_is_told() -> None:
    store("reporting.weekly", done_at=NINE)
    roll_up()
    assert 0 <= samples()["rollup_lag_seconds",] < 60


def test_however_many_results_there_are_two_tables_of_a_few_rows_are_read() -> None:
    store_many(3_000, done_at=NINE)
    roll_up()

    with CaptureQueriesContext(
        connection,
    ) as asked:
        samples()

    assert len(asked) == 3
    assert not any("taskresult" in one["sql"] or 'reporting_rollup"' in one["sql"] for one in asked)
