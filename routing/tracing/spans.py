"""The spans of a message, by OpenTelemetry's conventions for messaging: create, publish, process and settle.

All of a message belong to the span of the call that created it, whose context travels in the message's headers. So do
all its runs: one that comes after another is its sibling, with a link to it, and no level deeper.
"""

import json
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from celery import states
from celery.exceptions import Ignore, Reject, Retry
from opentelemetry import context, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from routing import correlation
from routing.broker.names import logical
from routing.ledger.outbox import Publication
from routing.masking import without
from routing.tracing import RELEASED

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
RUN_BEFORE = "taskyard_run_before"
"""Header of a message that is to run again: the span of the run that wanted it, written as ``traceparent`` is."""
LONGEST_TEXT = 8192
_W3C = TraceContextTextMapPropagator()
_TYPES = {"create": "create", "publish": "send", "process": "process", "settle": "settle"}
"""The conventions' kind of each operation."""


@dataclass(slots=True, kw_only=True)
class Told:
    """A message as its spans tell of it, and the context that they belong to."""

    task: str
    task_id: str
    queue: str
    attempt: int
    root_id: str | None
    context: Any
    worker: str | None = None
    outcome: str | None = None
    """What its run has come to, once that is written."""

    def attributes(self, operation: str) -> dict[str, Any]:
        belongs = correlation.about(queue=self.queue, task=self.task)
        known = {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": operation,
            "messaging.operation.type": _TYPES[operation],
            "messaging.destination.name": self.queue,
            "messaging.message.id": self.task_id,
            "messaging.message.conversation_id": self.root_id,
            "taskyard.task": self.task,
            "taskyard.domain": belongs.get("domain"),
            "taskyard.lane": belongs.get("lane"),
            "taskyard.attempt": self.attempt,
            "taskyard.worker": self.worker,
        }
        return {name: value for name, value in known.items() if value is not None}


@dataclass(slots=True)
class _Running:
    """The run that this thread is at, and what it came upon."""

    told: Told
    span: Any
    token: Any
    headers: dict[str, str]
    outer: "_Running | None"

    def again(self) -> dict[str, str]:
        """Headers for the same message, to run once more: as it came, but for the run that it comes after."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, context=trace.set_span_in_context(self.span))
        return {**self.headers, RUN_BEFORE: carrier.get(TRACEPARENT, "")}


_running: ContextVar[_Running | None] = ContextVar("traced run", default=None)


class Spans:
    """Each method tells of one step. None raises for a reason of its own, but what the step within it raises."""

    def __init__(self, provider: Any) -> None:
        self._tracer = provider.get_tracer("taskyard")

    @contextmanager
    def within(self, headers: Mapping[str, Any]) -> Iterator[None]:
        """In the trace of who asks, as the headers of an HTTP request name it, unless this thread is in one already."""
        token = context.attach(_context(headers))
        try:
            yield
        finally:
            context.detach(token)

    @contextmanager
    def creating(self, task: str, headers: dict[str, Any], queue: str) -> Iterator[None]:
        """A call that enqueues: its context goes into the message's headers. What runs again keeps the one it has."""
        running, found = _running.get(), _context(headers)
        for name in (TRACEPARENT, TRACESTATE, RUN_BEFORE):
            headers.pop(name, None)
        if running is not None and running.told.task_id == headers.get("id"):
            headers.update(running.again())
            yield
            return
        told = _told(task, headers, queue, found)
        with self._span("create", told, SpanKind.PRODUCER, told.context):
            _W3C.inject(headers)
            yield

    def published(
        self, publications: Iterable[Publication], refused: Mapping[int, str], *, began_at: int, ended_at: int
    ) -> None:
        """A relay's batch, between these times (ns). Of those alone that are in a trace: it begins none."""
        for one in publications:
            if TRACEPARENT not in one.headers:
                continue
            headers = json.loads(one.headers)
            told = _told(str(headers.get("task")), {**headers, "id": one.message_id}, one.queue, _extracted(headers))
            told.attempt = one.attempt
            span = self._started("publish", told, SpanKind.CLIENT, start_time=began_at)
            if one.id in refused:
                span.set_status(Status(StatusCode.ERROR, refused[one.id]))
            span.end(ended_at)

    def told(self, request: Any) -> Told:
        """Of a task's request, as a worker has it or the ledger would give it to one."""
        queue = logical(str((request.delivery_info or {}).get("routing_key") or ""))
        told = _told(request.task, vars(request), queue, _extracted(vars(request)))
        told.worker = request.hostname
        return told

    def begin(self, request: Any) -> Told:
        """This thread begins with a run, and is in its span until ``end``."""
        told, headers = self.told(request), _texts(vars(request), TRACEPARENT, TRACESTATE)
        before = _texts(vars(request), RUN_BEFORE).get(RUN_BEFORE, "")
        former = trace.get_current_span(_extracted({TRACEPARENT: before})).get_span_context()
        links = [Link(former)] if former.is_valid else []
        span = self._started("process", told, SpanKind.CONSUMER, links=links)
        token = context.attach(trace.set_span_in_context(span, told.context))
        _running.set(_Running(told, span, token, headers, _running.get()))
        return told

    def end(self, told: Told | None, came_to: object, secrets: Sequence[Any]) -> None:
        """The run is over. ``came_to``: what its body returned or raised."""
        running = _running.get()
        if running is None or running.told is not told:
            return
        _running.set(running.outer)
        context.detach(running.token)
        if told.outcome is not None:
            running.span.set_attribute("taskyard.outcome", told.outcome)
        error = came_to.exc if isinstance(came_to, Retry) else came_to
        if told.outcome != states.SUCCESS and isinstance(error, Exception) and not isinstance(error, Ignore | Reject):
            _record(running.span, error, secrets)
        elif told.outcome == states.FAILURE:
            running.span.set_status(Status(StatusCode.ERROR))
        running.span.end()

    def settle(self, told: Told, outcome: str, step: Callable[[], bool], *, error: str | None) -> bool:
        """What became of a run, or of a message that nobody ran; where no run can tell of its error, this one does."""
        running = _running.get()
        is_own = running is not None and running.told is told
        with self._span("settle", told, SpanKind.INTERNAL, None if is_own else told.context) as span:
            span.set_attribute("taskyard.outcome", outcome)
            won = step()
            if not won:
                span.set_attribute("taskyard.discarded", True)
            elif is_own:
                told.outcome = outcome
            elif error and outcome in (states.FAILURE, RELEASED):
                span.set_status(Status(StatusCode.ERROR, error[:LONGEST_TEXT]))
        return won

    @contextmanager
    def _span(self, operation: str, told: Told, kind: Any, parent: Any) -> Iterator[Any]:
        span = self._started(operation, told, kind, context=parent)
        token = context.attach(trace.set_span_in_context(span))
        try:
            yield span
        except BaseException as error:
            # Its words may quote what was to be sent.
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            context.detach(token)
            span.end()

    def _started(self, operation: str, told: Told, kind: Any, **options: Any) -> Any:
        options = {"context": told.context, **options}
        return self._tracer.start_span(
            f"{operation} {told.queue}", kind=kind, attributes=told.attributes(operation), **options
        )


def _told(task: str, headers: Mapping[str, Any], queue: str, found: Any) -> Told:
    retries, root_id = headers.get("retries"), headers.get("root_id")
    return Told(
        task=task,
        task_id=str(headers.get("id")),
        queue=queue,
        attempt=(retries if isinstance(retries, int) else 0) + 1,
        root_id=root_id if isinstance(root_id, str) else None,
        context=found,
    )


def _context(headers: Mapping[str, Any]) -> Any:
    """The one that this thread is in; where it is in none, the one that the headers name."""
    return context.get_current() if trace.get_current_span().get_span_context().is_valid else _extracted(headers)


def _extracted(headers: Mapping[str, Any]) -> Any:
    """An empty one where they name none: others may have put anything there."""
    return _W3C.extract(_texts(headers, TRACEPARENT, TRACESTATE), context=context.Context())


def _texts(headers: Mapping[str, Any], *names: str) -> dict[str, str]:
    return {name: value for name in names if isinstance(value := headers.get(name), str)}


def _record(span: Any, error: BaseException, secrets: Sequence[Any]) -> None:
    kind, said = type(error).__qualname__, traceback.TracebackException.from_exception(error)
    # Its own str() may raise, where the standard library says that it does.
    words, lines = (_sendable(without(text, secrets)) for text in (str(said), "".join(said.format())))
    told = {"exception.type": kind, "exception.message": words[:LONGEST_TEXT]}
    span.add_event("exception", {**told, "exception.stacktrace": lines[-LONGEST_TEXT:]})
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, f"{kind}: {words}"[:LONGEST_TEXT]))


def _sendable(text: str) -> str:
    """Half of a surrogate pair would cost the batch that the span is in."""
    return text.encode("utf-8", "backslashreplace").decode()
