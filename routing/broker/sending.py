"""The one place that every task passes when it is sent: from here it goes into the ledger, not to the broker."""

import logging
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from amqp import AMQPError
from celery import signals
from celery.app.amqp import AMQP, Queues
from django.conf import settings
from django.db import connections, transaction
from kombu.utils.json import JSONEncoder

from routing import correlation, faults, tracing
from routing.broker import tls, wire
from routing.broker.names import logical, physical
from routing.domains import registry
from routing.ledger import continuation, database, wake
from routing.ledger.completion import insert
from routing.ledger.continuation import Continuation
from routing.ledger.enqueue import Envelope, enqueue, enqueueing, prepared
from routing.ledger.unique import admitted
from routing.options import PROPERTIES
from routing.refusals import (
    NotSerialisable,
    PayloadTooLarge,
    TaskOutsideTransaction,
    UnusableHeaders,
    UnusableId,
    require_text,
)

logger = logging.getLogger(__name__)

EPOCH_HEADER = "taskyard_epoch"
LARGEST_HEADERS = 64 * 1024
"""Bytes: half of what RabbitMQ takes, unless told otherwise."""
_NONE: AbstractContextManager[None] = nullcontext()
UNSERIALISABLE = (
    AMQPError,
    struct.error,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class Timing:
    """When a task is due, and until when it may start: seconds from now, or points in time."""

    due: float | datetime | None = None
    expires: float | datetime | None = None


class Producer:
    """Stands where Celery expects a kombu producer. It has no connection, and needs none."""

    serializer = None

    @property
    def connection(self) -> "Producer":
        return self

    def _reraise_as_library_errors(self) -> Any:
        return nullcontext()


PRODUCER = Producer()


class NamedQueues(Queues):
    """Celery's queues, found by our names for them."""

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(physical(name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(physical(name))


class Sending(AMQP):
    """Celery's AMQP, whose ``send_task_message`` writes the ledger."""

    queues_cls = NamedQueues
    Connection = tls.Connection

    @cached_property
    def send_task_message(self) -> Callable[..., Any]:
        def send(
            _producer: Any, name: str, message: Any, *, queue: Any, ledger: Timing = Timing(), **options: Any
        ) -> None:
            headers, properties, body, _sent_event = message
            headers.update(options.get("headers") or {})
            headers.pop(EPOCH_HEADER, None)
            if (asked := correlation.request_id()) is not None:
                headers[correlation.HEADER] = asked
            properties.update({key: options[key] for key in PROPERTIES if options.get(key) is not None})
            queue_name = logical(str(getattr(queue, "name", queue)))
            span = _NONE if tracing.active is None else tracing.active.creating(name, headers, queue_name)
            with span:
                # Receivers may change the headers; tracing tools live on that.
                signals.before_task_publish.send(
                    sender=name,
                    body=body,
                    exchange="",
                    routing_key=queue_name,
                    declare=[],
                    headers=headers,
                    properties=properties,
                    retry_policy={},
                )
                # What Celery has made fits; to look at it each time would double the time that a call takes here.
                is_callers_own = options.keys() & _CALLERS_OWN or properties.get("reply_to") != self.app.thread_oid
                if is_callers_own or signals.before_task_publish.receivers:
                    for key in ("id", "root_id", "parent_id"):
                        require_text(key, headers.get(key), optional=key != "id")
                    _require_publishable(name, headers, properties)
                self._hand_over(
                    _envelope(name, headers, properties, body, queue_name, ledger, self._at_most_once(name))
                )
                signals.after_task_publish.send(
                    sender=name, body=body, headers=headers, exchange="", routing_key=queue_name
                )

        return send

    def _at_most_once(self, name: str) -> bool:
        return bool(getattr(self.app.tasks.get(name), "at_most_once", False))

    def _hand_over(self, envelope: Envelope) -> None:
        """To the run that sends its own task again, to whatever takes in this thread's sends, or into the ledger."""
        parent = self.app.current_worker_task
        run = getattr(parent.request, "ledger_run", None) if parent else None
        if run is not None and run.task_id == envelope.id:
            run.again(envelope)
        elif (current := continuation.collecting()) is not None:
            current.envelopes.append(envelope)
        else:
            write(Continuation([envelope], continuation.announced()))


@contextmanager
def sending_together(_app: Any) -> Iterator[Producer]:
    """All that is sent within goes into the ledger in one transaction, or none of it."""
    outer = continuation.collecting()
    with continuation.collect() as together:
        if outer is None:
            together.counters += continuation.announced()
        yield PRODUCER
    if outer is None:
        write(together)


def write(sent: Continuation) -> None:
    """Into the ledger, in the caller's transaction, and wake a relay when that commits."""
    if not sent.envelopes:
        return
    _warn_of_other_transactions()
    envelopes = sent.envelopes
    if len(envelopes) == 1 and not sent.counters and not sent.keys:
        enqueue(envelopes)
    else:
        # A crash before the commit leaves neither counter nor key nor task.
        with database.atomic():
            for counter in sent.counters:
                insert(counter)
            envelopes = admitted(sent)
            enqueue(envelopes)
            faults.point("enqueue.written")
    _tell_of(envelopes)
    _announce({envelope.id for envelope in envelopes}, is_soon=_any_is_soon(envelopes))


def write_in_turn(batches: Iterable[Callable[[], Sequence[Envelope]]]) -> None:
    """As ``write``, all of them in one transaction: each batch is made while the database stores the one before.

    Whoever dies in here, or fails, leaves none of them.
    """
    _warn_of_other_transactions()
    ids, is_soon = set[str](), False
    ready = prepared(())
    with database.atomic():
        for make in batches:
            with enqueueing(ready):
                made = make()
                ready = prepared(made)
                ids.update(envelope.id for envelope in made)
                is_soon = is_soon or _any_is_soon(made)
                _tell_of(made)
        with enqueueing(ready):
            pass
        faults.point("enqueue.written")
    _announce(ids, is_soon=is_soon)


def _announce(ids: Iterable[str], *, is_soon: bool) -> None:
    transaction.on_commit(Announcement(frozenset(ids), is_soon), using=database.using())


def _any_is_soon(envelopes: Iterable[Envelope]) -> bool:
    return any(wake.is_soon(envelope.due) for envelope in envelopes)


def _tell_of(envelopes: Sequence[Envelope]) -> None:
    if not logger.isEnabledFor(logging.DEBUG):
        return
    for one in envelopes:
        about = correlation.about(task=one.task, task_id=one.id, queue=one.queue, root_id=one.root_id)
        logger.debug("%s[%s] is enqueued, if this transaction commits", one.task, one.id, extra=about)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is left to do at commit. Until then it tells which tasks nobody can see yet."""

    task_ids: frozenset[str]
    is_soon: bool

    def __call__(self) -> None:
        faults.point("enqueue.committed")
        if self.is_soon:
            wake.wake()


def is_uncommitted(task_id: str) -> bool:
    """Whether it was enqueued in the transaction that is open in this thread, or can only come after one that was."""
    # Not at the top: the Celery application is made before Django has its models.
    from routing.ledger import lookup

    hooks = [entry[1] for entry in database.connection().run_on_commit]
    ids = {one for hook in hooks if isinstance(hook, Announcement) for one in hook.task_ids}
    return task_id in ids or any(task_id in lookup.following(body) for body in lookup.bodies(ids))


def _envelope(
    name: str,
    headers: Mapping[str, Any],
    properties: Mapping[str, Any],
    body: Sequence[Any],
    queue: str,
    timing: Timing,
    at_most_once: bool,
) -> Envelope:
    """Raises NotSerialisable, PayloadTooLarge, UnusableHeaders, UnusableId."""
    if len(name) > 255 or "\0" in name:
        raise UnusableId("task name", name)
    domain = registry().of_queue(queue)
    return Envelope(
        id=headers["id"],
        task=name,
        domain=domain.name if domain else queue,
        queue=queue,
        headers=_json(name, headers),
        properties=_json(name, properties),
        body=body_of(name, body),
        attempt=(headers.get("retries") or 0) + 1,
        at_most_once=at_most_once,
        due=timing.due,
        expires=timing.expires,
        root_id=headers.get("root_id"),
        parent_id=headers.get("parent_id"),
    )


_CALLERS_OWN = {"headers", *PROPERTIES}


def _require_publishable(task: str, headers: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
    """Raises UnusableHeaders: the relay would try in vain for ever."""
    try:
        size = len(wire.properties({**properties, "application_headers": headers}))
    except UNSERIALISABLE as error:
        raise UnusableHeaders(task, str(error) or type(error).__name__) from error
    if size > LARGEST_HEADERS:
        raise UnusableHeaders(task, f"they take {size:,} bytes, and {LARGEST_HEADERS:,} is the most")


def _json(task: str, value: object) -> str:
    try:
        return _ENCODER.encode(value)
    except Exception as error:
        # Whatever an argument's own __json__ raises.
        raise NotSerialisable(task, error) from error


_ENCODER = JSONEncoder()
"""Kombu's, past its registry of other formats: those take as long again, and none of them is accepted."""


def body_of(task: str, parts: Sequence[Any]) -> str:
    """Arguments, named arguments and what follows, as JSON. Raises NotSerialisable and PayloadTooLarge."""
    return _fitting(task, _json(task, parts))


def body_with(task: str, args: Sequence[Any], kwargs: Mapping[str, Any], following: str) -> str:
    """The same where what follows is JSON already."""
    return _fitting(task, f"{_json(task, (args, kwargs))[:-1]}, {following}]")


def _fitting(task: str, body: str) -> str:
    limit = settings.TASKYARD_MAX_PAYLOAD
    # JSON escapes what is not ASCII, so that characters are bytes.
    if len(body) > limit:
        raise PayloadTooLarge(task, len(body), limit)
    return body


def _warn_of_other_transactions() -> None:
    if len(connections.databases) < 2 or database.connection().in_atomic_block:
        return
    others = [one.alias for one in connections.all(initialized_only=True) if one.in_atomic_block]
    if others:
        warnings.warn(
            f"A task is enqueued while a transaction is open on {', '.join(others)}, but the ledger is in "
            f"{database.using()!r}: the task is kept even if that transaction rolls back. Enqueue it after the "
            "transaction, or open one on the ledger's database as well.",
            TaskOutsideTransaction,
            stacklevel=2,
        )
