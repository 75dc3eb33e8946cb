"""Spans leave each process by themselves, and a collector that is away keeps nobody."""

import logging
import multiprocessing
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from tests.services import free_port
from tests.tracing.collector import Collector
from tests.waiting import until

pytestmark = pytest.mark.any_database


@pytest.fixture
def exporting(opentelemetry: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A processor that would wait for ten minutes with what it has."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from routing.tracing.export import EachProcess, Unforked

    def make(url: str) -> tuple[Any, Any]:
        each = EachProcess(lambda: BatchSpanProcessor(Unforked(OTLPSpanExporter(endpoint=f"{url}/v1/traces"))))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(each)
        return each, provider.get_tracer("tests")

    return make


def test_a_forked_child_hands_over_its_own_spans_and_no_other(collector: Collector, exporting: Any) -> None:
    each, tracer = exporting(collector.url)
    tracer.start_span("of the parent").end()

    def in_child() -> None:
        tracer.start_span("of the child").end()
        each.end()
        os._exit(0)

    child = multiprocessing.get_context("fork").Process(target=in_child)
    child.start()
    child.join(30)

    assert child.exitcode == 0
    assert [one.name for one in collector.spans] == ["of the child"]
    each.end()
    assert sorted(one.name for one in collector.spans) == ["of the child", "of the parent"]


def test_a_forked_child_has_no_thread_for_what_its_parent_told(collector: Collector, exporting: Any) -> None:
    each, tracer = exporting(collector.url)
    tracer.start_span("of the parent").end()

    def in_child() -> None:
        until(lambda: threading.active_count() == 1, seconds=30, what="the end of OpenTelemetry's new thread")
        os._exit(0)

    child = multiprocessing.get_context("fork").Process(target=in_child)
    child.start()
    child.join(60)

    assert child.exitcode == 0
    each.end()
    assert [one.name for one in collector.spans] == ["of the parent"]


def test_a_soft_limit_that_is_held_back_is_not_delivered_by_a_thread_for_spans(
    collector: Collector, exporting: Any
) -> None:
    each, tracer = exporting(collector.url)
    before, held = set(threading.enumerate()), signal.pthread_sigmask(signal.SIG_BLOCK, [])

    tracer.start_span("within a body").end()

    started = set(threading.enumerate()) - before
    assert "last spans" in {one.name for one in started}
    assert all(_holds_back(one, signal.SIGUSR1) for one in started)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == held
    each.end()


def _holds_back(thread: threading.Thread, number: int) -> bool:
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    found = re.search(r"^SigBlk:\s*([0-9a-f]+)$", status, re.MULTILINE)
    assert found
    return bool(int(found[1], 16) >> (number - 1) & 1)


def test_a_soft_limit_that_comes_amid_a_span_is_not_lost(opentelemetry: None) -> None:
    from routing.tracing.export import EachProcess

    class Late:
        def on_end(self, span: Any) -> None:
            raise SoftTimeLimitExceeded

        def shutdown(self) -> None:
            pass

    each = EachProcess(Late)

    with pytest.raises(SoftTimeLimitExceeded):
        each.on_end(None)
    each.end()


def test_who_has_told_nothing_has_no_thread_for_it(collector: Collector, exporting: Any) -> None:
    before = threading.active_count()

    each, _ = exporting(collector.url)
    each.end()

    assert threading.active_count() == before


def test_a_collector_that_is_away_keeps_no_process_from_its_end(exporting: Any) -> None:
    from routing.tracing.export import END_WITHIN

    each, tracer = exporting(f"http://127.0.0.1:{free_port()}")
    began_at = time.monotonic()
    # More than wait in its queue.
    for number in range(2500):
        tracer.start_span(f"{number}").end()
    told_within = time.monotonic() - began_at

    each.end()

    assert told_within < END_WITHIN
    assert time.monotonic() - began_at < 2 * END_WITHIN + 1


def test_a_trouble_is_told_once_and_not_with_each_batch(caplog: pytest.LogCaptureFixture, opentelemetry: None) -> None:
    from routing.tracing.export import Seldom

    logger = logging.getLogger("tests.tracing.seldom")
    logger.addFilter(Seldom())

    for code in (503, 503, 504):
        logger.error("Failed to export: %s", code)
    logger.error("Another trouble")

    assert [record.getMessage() for record in caplog.records] == ["Failed to export: 503", "Another trouble"]


def test_an_exporter_that_cannot_be_made_costs_spans_and_is_told_once(
    caplog: pytest.LogCaptureFixture, opentelemetry: None
) -> None:
    from routing.tracing.export import made_provider

    def broken() -> Any:
        raise ValueError("no compression is called zip")

    tracer = made_provider(broken).get_tracer("tests")
    for number in range(3):
        tracer.start_span(f"{number}").end()

    assert [record.getMessage() for record in caplog.records] == ["A span is lost"]


def test_no_child_is_forked_while_spans_are_handed_over(opentelemetry: None) -> None:
    from routing.tracing.export import Unforked
    from routing.worker import forks

    class Looking:
        holders = 0

        def export(self, spans: Any) -> None:
            self.holders = forks._holders

    looking = Looking()
    until(lambda: forks._holders == 0, what="the end of what other tests hand over")

    Unforked(looking).export([])

    assert looking.holders == 1
    until(lambda: forks._holders == 0, what="the end of the export")
