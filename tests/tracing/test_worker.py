"""Traces of real processes: a caller, a relay, and a worker's children, each of which hands over its own spans."""

import time
from pathlib import Path
from typing import Any

import pytest
from celery import chain
from django_celery_results.models import TaskResult

from routing.ledger import results
from tests import probe as typed_probe
from tests.services import free_port
from tests.tracing.collector import Collector
from tests.tracing.conftest import Recorded
from tests.waiting import until
from tests.workers import StartRelay, StartWorker

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]


def finished(task_id: str) -> TaskResult:
    rows = TaskResult.objects.filter(task_id=task_id, status__in=results.RECORDED)
    return until(rows.first, what=f"the outcome of {task_id}")


def variables(url: str) -> dict[str, str]:
    # Spans would wait for ten minutes: what arrives was handed over when the process ended.
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "600000"}


def test_one_trace_leads_through_relay_runs_retries_and_chain(
    start_relay: StartRelay, start_worker: StartWorker, collector: Collector, recorded: Recorded, tmp_path: Path
) -> None:
    relay = start_relay(**variables(collector.url))
    worker = start_worker("reporting", relay=False, **variables(collector.url))
    with recorded.calling() as caller:
        last: Any = chain(probe.succeed_at_third_run.si(str(tmp_path / "journal")), probe.fail_for_good.si()).delay()
    first = last.parent
    assert finished(last.id).status == "FAILURE"

    assert [worker.stop(), relay.stop()] == [0, 0]

    assert {one.trace_id for one in collector.spans} == {f"{caller.get_span_context().trace_id:032x}"}
    assert {one.service for one in collector.spans} == {"taskyard"}
    created = f"{recorded.one('create').context.span_id:016x}"
    published, runs = collector.of("publish", first.id), collector.of("process", first.id)
    assert [one.parent_id for one in published] == [created] * 3
    assert [one.parent_id for one in runs] == [created] * 3
    assert [one.links for one in runs] == [(), (runs[0].span_id,), (runs[1].span_id,)]
    assert [one.attributes["taskyard.outcome"] for one in runs] == ["RETRY", "RETRY", "SUCCESS"]
    assert [one.parent_id for one in collector.of("settle", first.id)] == [one.span_id for one in runs]
    (creation,), (run,) = collector.of("create", last.id), collector.of("process", last.id)
    assert creation.parent_id == runs[2].span_id
    assert run.parent_id == creation.span_id
    assert run.is_error
    assert run.attributes["taskyard.worker"].startswith("reporting@")


@pytest.mark.one_database
def test_what_a_killed_child_cannot_tell_its_worker_does(
    start_relay: StartRelay, start_worker: StartWorker, collector: Collector, recorded: Recorded
) -> None:
    start_relay()
    worker = start_worker("reporting", relay=False, **variables(collector.url))
    result = probe.overrun.delay()
    assert finished(result.id).status == "FAILURE"

    assert worker.stop() == 0

    (settled,) = collector.of("settle", result.id)
    assert settled.parent_id == f"{recorded.one('create').context.span_id:016x}"
    assert settled.is_error
    assert settled.attributes["taskyard.outcome"] == "FAILURE"


@pytest.mark.one_database
def test_a_collector_that_is_away_costs_no_task_and_no_time(
    start_relay: StartRelay, start_worker: StartWorker, opentelemetry: None, tmp_path: Path
) -> None:
    away = variables(f"http://127.0.0.1:{free_port()}") | {"OTEL_BSP_SCHEDULE_DELAY": "100"}
    relay = start_relay(**away)
    worker = start_worker("reporting", relay=False, **away)

    sent = [probe.report.delay(str(tmp_path / "journal")) for _ in range(20)]

    assert {finished(one.id).status for one in sent} == {"SUCCESS"}
    began_at = time.monotonic()
    assert [worker.stop(), relay.stop()] == [0, 0]
    assert time.monotonic() - began_at < 30
    assert worker.log.read_text().count("Transient error") <= 4
