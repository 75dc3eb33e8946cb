"""A call that is made again and again with other arguments: Celery's own way through ``apply_async`` is taken once.

What Celery makes of the first call holds for the others, but for the id and the arguments. That takes less than a
quarter of the time.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

import celery
from celery import signals
from celery.result import AsyncResult
from celery.utils import uuid
from celery.utils.saferepr import saferepr

from routing import sensitive
from routing.broker.sending import body_with
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
        if template is not None and taken is not None and isinstance(args, list | tuple | None):
            handle, envelope = template.make(args or (), kwargs, task_id or uuid())
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
    """The first call's envelope, with the JSON that is the same for all written once."""

    def __init__(
        self, app: celery.Celery, first: Envelope, handle: AsyncResult[Any], task: Any, options: Mapping[str, Any]
    ) -> None:
        self._app = app
        self._first = first
        self._headers = _without(json.loads(first.headers), "id", "root_id", "argsrepr", "kwargsrepr")
        self._properties = _without(json.loads(first.properties), "correlation_id")
        self._following = json.dumps(json.loads(first.body)[2])
        self._is_root = first.root_id == first.id
        self._check = getattr(task, "__header__", None) if task is not None and task.typing else None
        self._parent = app.current_worker_task if options.get("add_to_parent", True) else None
        self._longest = min(app.amqp.argsrepr_maxsize, app.amqp.kwargsrepr_maxsize)
        self._secret = sensitive.of(first.task)
        self._handle, self._backend, self._is_ignored = type(handle), handle.backend, handle.ignored

    def make(
        self, args: Sequence[Any], kwargs: Mapping[str, Any] | None, task_id: str
    ) -> tuple[AsyncResult[Any], Envelope]:
        """Raises TypeError for arguments that the task does not take, NotSerialisable and PayloadTooLarge."""
        named = dict(kwargs or {})
        if self._check is not None:
            self._check(*args, **named)
        first = self._first
        if self._secret is not None:
            args, named = self._secret.sealed(args, named)
        body = body_with(first.task, args, named, self._following)
        handle = self._handle(task_id, backend=self._backend, app=self._app)
        handle.ignored = self._is_ignored
        if self._parent is not None:
            self._parent.add_trail(handle)
        root_id = task_id if self._is_root else first.root_id
        args_shown, kwargs_shown = self._shown(args, named, body)
        # Not dataclasses.replace(), which takes three times as long.
        envelope = Envelope(
            id=task_id,
            task=first.task,
            domain=first.domain,
            queue=first.queue,
            headers=f'{{"id": {_quoted(task_id)}, "root_id": {_quoted(root_id) if root_id else "null"}, "argsrepr": '
            f'{_quoted(args_shown)}, "kwargsrepr": {_quoted(kwargs_shown)}{self._headers}',
            properties=f'{{"correlation_id": {_quoted(task_id)}{self._properties}',
            body=body,
            attempt=first.attempt,
            at_most_once=first.at_most_once,
            due=first.due,
            expires=first.expires,
            root_id=root_id,
            parent_id=first.parent_id,
        )
        return handle, envelope

    def _shown(self, args: Sequence[Any], kwargs: Mapping[str, Any], body: str) -> tuple[str, str]:
        """Celery's way takes a third of all the time; what is short needs no shortening."""
        if self._secret is not None:
            args, kwargs = sensitive.hidden(args), sensitive.hidden(kwargs)
        if len(body) < self._longest:
            return repr(args), repr(kwargs)
        amqp, levels = self._app.amqp, self._app.conf.task_repr_maxlevels
        return (
            saferepr(args, amqp.argsrepr_maxsize, maxlevels=levels),
            saferepr(kwargs, amqp.kwargsrepr_maxsize, maxlevels=levels),
        )


def _without(fields: dict[str, Any], *names: str) -> str:
    """What comes behind these names in the JSON of the object."""
    rest = {name: value for name, value in fields.items() if name not in names}
    return f", {json.dumps(rest)[1:]}" if rest else "}"


def _arguments(call: Call) -> tuple[Sequence[Any] | None, Mapping[str, Any] | None]:
    return (None, dict(call)) if isinstance(call, Mapping) else (call, None)
