"""Tracing, switched on for one test."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from routing import tracing
from tests import services
from tests.tracing.collector import Collector


@pytest.fixture(scope="session")
def opentelemetry() -> None:
    if find_spec("opentelemetry") is None:
        services.missing("OpenTelemetry is not installed: pip install 'taskyard[otel]'")


@pytest.fixture
def collector(opentelemetry: None) -> Iterator[Collector]:
    one = Collector()
    yield one
    one.stop()


class Recorded:
    """The spans of this process, in memory."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def calling(self) -> Any:
        """Within, this thread is in the span of somebody who calls tasks."""
        return self.provider.get_tracer("caller").start_as_current_span("checkout")

    @property
    def all(self) -> list[Any]:
        return list(self._exporter.get_finished_spans())

    def of(self, operation: str, task: str = "") -> list[Any]:
        """In the order in which they ended."""
        found = [one for one in self.all if one.attributes.get("messaging.operation.name") == operation]
        return [one for one in found if not task or one.attributes["taskyard.task"] == task]

    def one(self, operation: str, task: str = "") -> Any:
        (found,) = self.of(operation, task)
        return found


@pytest.fixture
def recorded(opentelemetry: None, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """This process tells of what it does, as if it had been switched on at its start."""
    from routing.tracing.spans import Spans

    one = Recorded()
    monkeypatch.setattr(tracing, "active", Spans(one.provider))
    return one
