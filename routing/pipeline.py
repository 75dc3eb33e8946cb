"""The Celery application class: Celery's, which enqueues into the ledger."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery import Celery, result
from celery.exceptions import QueueNotFound
from celery.utils import uuid
from kombu.utils.objects import cached_property

from routing import moments, unique_keys
from routing import options as known_options
from routing.broker import repeated
from routing.broker.names import logical
from routing.broker.sending import PRODUCER, Producer, Timing, sending_together
from routing.domains import registry
from routing.handles import Handle
from routing.ledger import continuation, database, unique
from routing.ledger.continuation import Key
from routing.refusals import UniqueInCanvas, require_text
from routing.sealed_messages import sealed_message
from routing.worker import steps


class Pipeline(Celery):
    """Celery whose tasks are enqueued in the caller's transaction; a relay publishes them."""

    amqp_cls = "routing.broker.sending:Sending"
    task_cls = "routing.worker.task:Task"
    control_cls = "routing.worker.control:Control"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        steps.install(self)

    @cached_property
    def AsyncResult(self) -> type[result.AsyncResult[Any]]:  # noqa: N802  (Celery's name for it)
        of_this: type[Handle] = self.subclass_with_self(Handle, name="AsyncResult", reverse="AsyncResult")
        return of_this

    def send_task(  # type: ignore[override]
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        countdown: float | timedelta | None = None,
        eta: datetime | str | None = None,
        task_id: str | None = None,
        producer: Any = None,
        unique_key: str | None = None,
        unique_for: float | timedelta | None = None,
        **options: Any,
    ) -> result.AsyncResult[Any]:
        """As ``Celery.send_task``; see routing/options.py for what is honoured. Nothing here speaks to the broker.

        Raises UnusableOption, NaiveTime, UnusableTime, UnusableId, PayloadTooLarge, NotSerialisable, UnusableHeaders,
        NoDomain, SecretsInMap, and QueueNotFound for an undeclared queue, all before the database is touched.
        """
        options = self._checked(options, producer)
        for what, value in (("task id", task_id), *((each, options.get(each)) for each in ("root_id", "parent_id"))):
            require_text(what, value)
        expires = options.pop("expires", None) if "expires" in options else self._expiry_of(name)
        options["ledger"] = Timing(due=moments.due(countdown, eta), expires=moments.expiry(expires))
        period = moments.period(unique_for)
        # Celery would send a delay through 28 exchanges of its own, and would give an expiring message a time-to-live,
        # so that RabbitMQ drops it and nobody learns its outcome. It sees neither.
        options |= {"expires": None, "producer": producer if isinstance(producer, Producer) else PRODUCER}
        if unique_key is not None:
            if task_id is not None:
                raise UniqueInCanvas(name)
            require_text("unique key", unique_key)
            unique_key = unique_keys.without_secrets(name, unique_key, args, kwargs)
        args, kwargs, options = sealed_message(name, args, kwargs, options)
        if unique_key is None:
            return super().send_task(name, args, kwargs, task_id=task_id, **options)
        return self._send_unique(f"{name}:{unique_key}", period, name, args, kwargs, **options)

    def enqueue_many(
        self, name: str, calls: Iterable[Sequence[Any] | Mapping[str, Any]], **options: Any
    ) -> list[result.AsyncResult[Any]]:
        """Enqueue a task once for each of ``calls``, in one transaction, many rows a statement.

        Each call is the positional arguments, as a sequence, or the named ones, as a mapping. With a unique key, a
        handle is that of the task which holds it. All calls are taken from ``calls`` before the transaction begins.
        """
        task = options.pop("task_type", None) or self.tasks.get(name)
        # What the task's declaration asks for, its own apply_async knows.
        send: Callable[..., Any] = task.apply_async if task is not None else partial(self.send_task, name)
        return repeated.send_all(self, send, calls, task=task, options=options)

    def producer_or_acquire(self, producer: Any = None) -> AbstractContextManager[Any]:  # type: ignore[override]
        """Celery sends all tasks of a group within this one block: they go into the ledger in one transaction."""
        if producer is not None or self.conf.task_always_eager:
            return nullcontext(producer or PRODUCER)
        return sending_together(self)

    def _send_unique(
        self,
        key: str,
        seconds: float | None,
        name: str,
        args: Sequence[Any] | None,
        kwargs: dict[str, Any] | None,
        **options: Any,
    ) -> result.AsyncResult[Any]:
        task_id = uuid()
        if (current := continuation.collecting()) is not None:
            # Whoever writes the task takes the key for it; until then it has only been asked for.
            handle = super().send_task(name, args, kwargs, task_id=task_id, **options)
            current.keys.append(Key(key, task_id, seconds, handle))
            return handle
        with database.atomic():
            holder = unique.acquire(key, task_id, seconds=seconds)
            if holder != task_id:
                return self.AsyncResult(holder)
            return super().send_task(name, args, kwargs, task_id=task_id, **options)

    def _checked(self, options: dict[str, Any], producer: Any) -> dict[str, Any]:
        """Without what asks for nothing. Raises UnusableOption and QueueNotFound."""
        key = logical(options["routing_key"]) if isinstance(options.get("routing_key"), str) else None
        if options.get("queue") is None and key in registry().pools:
            # What arrived over the exchange and is retried names its queue like this.
            options["queue"] = key
        if options.get("queue") is not None and key in (options["queue"], None):
            options = {k: v for k, v in options.items() if k not in ("exchange", "routing_key", "exchange_type")}
        options.pop("redelivered", None)
        known_options.check(options | {"producer": None if isinstance(producer, Producer) else producer})
        self._require_queue(options.get("queue"))
        return {name: value for name, value in options.items() if name not in known_options.REFUSED}

    def _expiry_of(self, name: str) -> float | datetime | None:
        """What the task's own declaration says."""
        task = self.tasks.get(name)
        return task.expires if task else None

    def _require_queue(self, queue: object) -> None:
        """``create_missing_queues`` is off; without this a caller would learn nothing but the wrong name."""
        name = getattr(queue, "name", queue)
        if name is not None and not (isinstance(name, str) and logical(name) in registry().pools):
            raise QueueNotFound(
                f"No queue is called {name!r}. Use one of {', '.join(registry().pools)}, or declare a lane for it in "
                "project/domains.py."
            )
