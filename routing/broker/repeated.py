"""A call that is made again and again with other arguments: Celery's own way through ``apply_async`` is taken once.

What Celery makes of the first call holds for the others, but for the id and the arguments. That takes less than a
quarter of the time.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import celery
from celery import signals
from celery.result import AsyncResult
from celery.utils import uuid
from celery.utils.saferepr import saferepr

from routing import sensitive
from routing.broker.sending import body_of
from routing.ledger import continuation
from routing.ledger.enqueue import Envelope

Call = Sequence[Any] | Mapping[str, Any]
Send = Callable[..., AsyncResult[Any]]


def send_all(
    app: celery.Celery, send: Send, calls: Iterable[Call], *, task: Any, options: Mapping[str, Any]
) -> list[AsyncResult[Any]]:
    """``send`` each of the calls. Something takes in what is sent: see routing.ledger.continuation."""
    options = dict(options)
    ids = options.pop("task_ids", None)
    # Without a name for each, they are named as they are made.
    named = zip(calls, ids, strict=True) if ids is not None else ((call, None) for call in calls)
    return list(_each(app, send, named, task, options))


def _each(
    app: celery.Celery,
    send: Send,
    calls: Iterable[tuple[Call, str | None]],
    task: Any,
    options: Mapping[str, Any],
) -> Iterator[AsyncResult[Any]]:
    taken = continuation.collecting()
    template: Template | None = None
    for call, task_id in calls:
        args, kwargs = _arguments(call)
        if template is not None and taken is not None and isinstance(args, list | tuple):
            handle, envelope = template.make(args, kwargs, task_id or uuid())
            taken.envelopes.append(envelope)
        else:
            before = len(taken.envelopes) if taken is not None else 0
            handle = send(args, kwargs, **options, **({"task_id": task_id} if task_id else {}))
            if taken is not None and _may_repeat(app, task, options) and len(taken.envelopes) == before + 1:
                template = Template(app, taken.envelopes[-1], handle, task, options)
        yield handle


def _may_repeat(app: celery.Celery, task: Any, options: Mapping[str, Any]) -> bool:
    """Whether nothing about a call but its id hangs on its arguments, and nobody wants to see each message."""
    if app.conf.task_always_eager or signals.before_task_publish.receivers or signals.after_task_publish.receivers:
        return False
    if options.get("task_id") is not None or options.get("unique_key") is not None:
        return False
    return task is None or bool(task.is_alike)


class Template:
    def __init__(
        self, app: celery.Celery, first: Envelope, handle: AsyncResult[Any], task: Any, options: Mapping[str, Any]
    ) -> None:
        self._app = app
        self._first = first
        self._headers: dict[str, Any] = json.loads(first.headers)
        self._properties: dict[str, Any] = json.loads(first.properties)
        self._embed = json.loads(first.body)[2]
        self._is_root = first.root_id == first.id
        self._check = getattr(task, "__header__", None) if task is not None and task.typing else None
        self._parent = app.current_worker_task if options.get("add_to_parent", True) else None
        self._levels = app.conf.task_repr_maxlevels
        self._secret = sensitive.of(first.task)
        self._handle, self._is_ignored = type(handle), handle.ignored

    def make(
        self, args: Sequence[Any], kwargs: Mapping[str, Any] | None, task_id: str
    ) -> tuple[AsyncResult[Any], Envelope]:
        """Raises TypeError for arguments that the task does not take, NotSerialisable and PayloadTooLarge."""
        named = dict(kwargs or {})
        if self._check is not None:
            self._check(*args, **named)
        if self._secret is not None:
            args, named = self._secret.sealed(args, named)
        amqp = self._app.amqp
        root_id = task_id if self._is_root else self._first.root_id
        self._headers["id"], self._headers["root_id"] = task_id, root_id
        body = body_of(self._first.task, (args, named, self._embed))
        for name, value, longest in (
            ("argsrepr", sensitive.hidden(args) if self._secret else args, amqp.argsrepr_maxsize),
            ("kwargsrepr", sensitive.hidden(named) if self._secret else named, amqp.kwargsrepr_maxsize),
        ):
            # Celery's takes a third of all the time; what is short needs no shortening.
            is_short = len(body) < longest
            self._headers[name] = repr(value) if is_short else saferepr(value, longest, maxlevels=self._levels)
        self._properties["correlation_id"] = task_id
        handle = self._handle(task_id, app=self._app)
        handle.ignored = self._is_ignored
        if self._parent is not None:
            self._parent.add_trail(handle)
        envelope = replace(
            self._first,
            id=task_id,
            headers=json.dumps(self._headers),
            properties=json.dumps(self._properties),
            body=body,
            root_id=root_id,
        )
        return handle, envelope


def _arguments(call: Call) -> tuple[Sequence[Any] | None, Mapping[str, Any] | None]:
    return (None, dict(call)) if isinstance(call, Mapping) else (call, None)
