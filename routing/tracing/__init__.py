"""Traces, where they are switched on: OpenTelemetry's spans of a task, from the call that enqueues it to its outcome.

Where they are not, nothing of OpenTelemetry is imported, and each place that would tell of a task looks at ``active``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routing.tracing.spans import Spans, Told

active: "Spans | None" = None
"""Decided once, when the process starts."""

RELEASED, REPLACED = "RELEASED", "REPLACED"
"""What a run comes to, beside Celery's states: its task goes back into the ledger, or another takes its place."""


def begin(exporter: str) -> None:
    """``otlp``, or ``console`` for standard output. Raises ImportError without ``taskyard[otel]``."""
    global active
    from routing.tracing.export import provider
    from routing.tracing.spans import Spans

    active = Spans(provider(exporter))


def settled(told: "Told | None", outcome: str, step: Callable[[], bool], *, error: str | None = None) -> bool:
    """What ``step`` answers, which records or reschedules; with a span of it where the message has a trace."""
    return step() if active is None or told is None else active.settle(told, outcome, step, error=error)
