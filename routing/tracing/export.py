"""Where spans go: to the collector that OpenTelemetry's own variables name, in batches, by a thread of each process.

A collector that is away costs spans, and never a task: they wait in a queue of a fixed length, and what comes when that
is full is dropped.
"""

import atexit
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_process_shutdown
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from routing.worker import forks

logger = logging.getLogger(__name__)

END_WITHIN = 2.0
"""Seconds that the end of a process waits for its last spans to be taken: less than what a stopped worker has left."""
TOLD_EVERY = 300.0
EXPORTERS: dict[str, Callable[[], Any]] = {"otlp": OTLPSpanExporter, "console": ConsoleSpanExporter}


def provider(exporter: str) -> Any:
    """The one that somebody has set for this process already, such as ``opentelemetry-instrument``; else ours."""
    known = trace.get_tracer_provider()
    if not isinstance(known, trace.ProxyTracerProvider):
        return known
    made = made_provider(EXPORTERS[exporter])
    # So that what else tells of itself through OpenTelemetry, such as a task's own body, goes there, too.
    trace.set_tracer_provider(made)
    return made


def made_provider(exporter: Callable[[], Any]) -> Any:
    # At its own end it would wait for a collector that is away, for half a minute.
    made = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    each = EachProcess(lambda: BatchSpanProcessor(Unforked(exporter())))
    made.add_span_processor(each)
    atexit.register(each.end)
    # A pool's child ends without that.
    worker_process_shutdown.connect(each.end, weak=False)
    for name in (OTLPSpanExporter.__module__, "opentelemetry.sdk._shared_internal", __name__):
        logging.getLogger(name).addFilter(Seldom())
    return made


def _resource() -> Any:
    found = Resource.create()
    named = str(found.attributes.get(SERVICE_NAME, ""))
    return found.merge(Resource({SERVICE_NAME: "taskyard"})) if named.startswith("unknown_service") else found


class EachProcess(SpanProcessor):
    """A processor made in each process with its first span, as neither threads nor connections survive a fork."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._begin()
        os.register_at_fork(after_in_child=self._begin_in_child)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._own: Any = None
        self._closing, self._closed = threading.Event(), threading.Event()

    def _begin_in_child(self) -> None:
        own = self._own
        self._begin()
        # OpenTelemetry starts its thread anew in each child, for spans that only the parent has: that ends at once.
        if (inner := getattr(own, "_batch_processor", None)) is not None:
            inner._shutdown = True

    def on_end(self, span: Any) -> None:
        try:
            self._of_this_process().on_end(span)
        except SoftTimeLimitExceeded:
            # It is the body's, which happened to be here.
            raise
        except Exception:
            # A task must not fail because no thread could be started.
            logger.exception("A span is lost")

    def end(self, **_: Any) -> None:
        """Hand over what is left, as far as that goes in END_WITHIN. Safe to call again."""
        if self._own is not None:
            self._closing.set()
            self._closed.wait(END_WITHIN)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._own is None or bool(self._own.force_flush(timeout_millis))

    def _of_this_process(self) -> Any:
        if self._own is None:
            with _without_signals(), self._lock:
                if self._own is None:
                    own = self._make()
                    # Now: at its end a process may start no thread any more.
                    threading.Thread(target=self._close, args=[own], name="last spans", daemon=True).start()
                    self._own = own
        return self._own

    def _close(self, own: Any) -> None:
        self._closing.wait()
        own.shutdown()
        self._closed.set()


@contextmanager
def _without_signals() -> Iterator[None]:
    """For threads that are started within: none is delivered by way of them.

    Else a soft time limit that a worker's child holds back, outside of its task's body, would be heeded all the same.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Unforked(SpanExporter):
    """No child is forked from a worker's main process while its thread hands spans over, and holds locks for that."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[Any]) -> Any:
        with forks.held_off():
            return self._exporter.export(spans)

    def shutdown(self) -> None:
        self._exporter.shutdown()


class Seldom(logging.Filter):
    """What is wrong with a collector is told once in five minutes, and not with each batch that it does not take.

    So is what keeps the exporter from being made, such as a variable of OpenTelemetry's, and not with each span.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told_at: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now, told_at = time.monotonic(), self._told_at.get(record.msg, float("-inf"))
        if now - told_at < TOLD_EVERY:
            return False
        self._told_at[record.msg] = now
        return True
