"""A call that is made again and again with other arguments: Celery's own way through ``apply_async`` is taken once.

What Celery makes of the first call holds for the others, but for the id, the arguments, and what the thread is at work
for. Among many in one call that takes less than a quarter of the time, and by itself less than half of it.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from itertools import islice
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any
from weakref import WeakKeyDictionary

import celery
from celery import signals
from celery.app import task as celerys_task
from celery.result import AsyncResult
from celery.utils import uuid
from celery.utils.saferepr import saferepr

from routing import correlation, sensitive, tracing
from routing.broker.sending import PRODUCER, body_with, write, write_in_turn
from routing.domains import registry
from routing.ledger import continuation, database
from routing.ledger.continuation import Continuation
from routing.ledger.enqueue import BATCH, Envelope

CELERYS_HEADERS = {
    *("lang", "task", "id", "root_id", "parent_id", "shadow", "origin", "argsrepr", "kwargsrepr", "ignore_result"),
    *("eta", "expires", "retries", "timelimit", "group", "group_index", "replaced_task_nesting"),
    *("stamped_headers", "stamps"),
}
OUR_ROUTES = ["routing.router.route"]
"""Routes that look at nothing but a task's name; others may."""
Call = Sequence[Any] | Mapping[str, Any]
Send = Callable[..., AsyncResult[Any]]


def send_all(
    app: celery.Celery, send: Send, calls: Iterable[Call], *, task: Any, options: Mapping[str, Any]
) -> list[AsyncResult[Any]]:
    """``send`` each of the calls, in one transaction; what takes in this thread's sends gets them otherwise."""
    options = dict(options)
    ids = options.pop("task_ids", None)
    # Without a name for each, they are named as they are made.
    named = zip(calls, ids, strict=True) if ids is not None else ((call, None) for call in calls)
    if continuation.collecting() is not None or not _may_repeat(app, task, options):
        with app.producer_or_acquire() as producer:
            return list(Sender(app, partial(send, producer=producer), task, options).each(named))
    sender = Sender(app, partial(send, producer=PRODUCER), task, options)
    # Whatever makes the calls may take its time, ask the database, and enqueue something itself: no transaction is
    # open yet, and what it enqueues goes with the others.
    with continuation.apart() as first:
        handles = list(sender.each(islice(named, BATCH)))
        rest = [(_copy(call), task_id) for call, task_id in named]

    def make(batch: Sequence[tuple[Call, str | None]]) -> list[Envelope]:
        with continuation.apart() as taken:
            handles.extend(sender.each(batch))
        return taken.envelopes

    with database.atomic() if rest else nullcontext():
        write(first)
        if rest:
            write_in_turn(partial(make, rest[start : start + BATCH]) for start in range(0, len(rest), BATCH))
    return handles


def _copy(call: Call) -> Call:
    """Whoever makes the calls may put the next one into the same list."""
    if isinstance(call, Mapping):
        return dict(call)
    return list(call) if isinstance(call, list) else call


def send_plain(app: celery.Celery, send: Send, args: Any, kwargs: Any, *, task: Any) -> AsyncResult[Any]:
    """``send`` a call that asks for nothing but what the task declares: what ``delay`` does."""
    if not _may_repeat_plainly(app, send, task):
        return send(args, kwargs)
    template = _of_tasks.get(task)
    is_usual = isinstance(args, list | tuple | None) and isinstance(kwargs, dict | None)
    if template is not None and is_usual and template.holds(task):
        handle, envelope = template.make(args or (), kwargs, uuid(), **_of_this_thread(app))
        write(Continuation([envelope]))
        return handle
    with continuation.apart() as taken:
        handle = send(args, kwargs)
    if len(taken.envelopes) == 1 and _is_plain(app, taken.envelopes[0]):
        _of_tasks[task] = Template(app, taken.envelopes[0], handle, task, {}, without=_OF_A_THREAD)
    write(taken)
    return handle


_of_tasks: WeakKeyDictionary[Any, "Template"] = WeakKeyDictionary()
"""What plain calls of each task are made from."""


def _is_plain(app: celery.Celery, envelope: Envelope) -> bool:
    """Whether nobody but Celery and us had a part in it, who might say something else of the next call."""
    headers = json.loads(envelope.headers).keys()
    return bool(app.conf.task_routes == OUR_ROUTES) and headers <= CELERYS_HEADERS | {correlation.HEADER}


_OF_A_THREAD = (correlation.HEADER, "reply_to")


def _of_this_thread(app: celery.Celery) -> dict[str, str]:
    """What _OF_A_THREAD names, as further JSON of headers and properties."""
    asked = correlation.request_id()
    return {
        "headers": f', "{correlation.HEADER}": {_quoted(asked)}' if asked is not None else "",
        "properties": f', "reply_to": {_quoted(app.thread_oid)}',
    }


class Sender:
    """Sends one task again and again."""

    def __init__(self, app: celery.Celery, send: Send, task: Any, options: Mapping[str, Any]) -> None:
        self._app = app
        self._send = send
        self._task = task
        self._options = options
        self._template: Template | None = None

    def each(self, calls: Iterable[tuple[Call, str | None]]) -> Iterator[AsyncResult[Any]]:
        taken = continuation.collecting()
        for call, task_id in calls:
            args, kwargs = _arguments(call)
            if self._template is not None and taken is not None and isinstance(args, list | tuple | None):
                handle, envelope = self._template.make(args or (), kwargs, task_id or uuid())
                taken.envelopes.append(envelope)
            else:
                handle = self._send_one(taken, args, kwargs, task_id)
            yield handle

    def _send_one(self, taken: Continuation | None, args: Any, kwargs: Any, task_id: str | None) -> AsyncResult[Any]:
        before = len(taken.envelopes) if taken is not None else 0
        handle = self._send(args, kwargs, **self._options, **({"task_id": task_id} if task_id else {}))
        is_alike = taken is not None and _may_repeat(self._app, self._task, self._options)
        if taken is not None and is_alike and len(taken.envelopes) == before + 1:
            self._template = Template(self._app, taken.envelopes[-1], handle, self._task, self._options)
        return handle


def _may_repeat(app: celery.Celery, task: Any, options: Mapping[str, Any]) -> bool:
    """Whether nothing about a call but its id hangs on its arguments, and nobody wants to see each message."""
    if app.conf.task_always_eager or signals.before_task_publish.receivers or signals.after_task_publish.receivers:
        return False
    if options.get("task_id") is not None or options.get("unique_key") is not None:
        return False
    return task is None or bool(task.is_alike)


def _may_repeat_plainly(app: celery.Celery, send: Any, task: Any) -> bool:
    """The same from one call of ``delay`` to another one, whenever that comes: nothing around it has a part in it.

    What watches programs likes to put an ``apply_async`` of its own in the place of Celery's.
    """
    code = getattr(getattr(send, "__func__", None), "__code__", None)
    return (
        code is not None
        and code.co_filename == celerys_task.__file__
        and continuation.collecting() is None
        and app.current_worker_task is None
        and tracing.active is None
        and _may_repeat(app, task, {})
    )


class Template:
    """The first call's envelope, with the JSON that is the same for all written once."""

    def __init__(
        self,
        app: celery.Celery,
        first: Envelope,
        handle: AsyncResult[Any],
        task: Any,
        options: Mapping[str, Any],
        *,
        without: Sequence[str] = (),
    ) -> None:
        """``without``: headers and properties that each call brings along itself."""
        self._app = app
        self._headers = _without(json.loads(first.headers), "id", "root_id", "argsrepr", "kwargsrepr", *without)
        self._properties = _without(json.loads(first.properties), "correlation_id", *without)
        self._following = json.dumps(json.loads(first.body)[2])
        self._is_root = first.root_id == first.id
        self._check = getattr(task, "__header__", None) if task is not None and task.typing else None
        self._parent = app.current_worker_task if options.get("add_to_parent", True) else None
        self._longest = min(app.amqp.argsrepr_maxsize, app.amqp.kwargsrepr_maxsize)
        self._secret = sensitive.of(first.task)
        # Each thread has a backend of its own.
        self._backend = handle.backend if handle.backend is not app.backend else None
        self._handle, self._is_ignored = type(handle), handle.ignored
        self._made_for = _circumstances(app, task)
        # A call's own are no longer of use, and may be large, or secret.
        self._first = first._replace(headers="", properties="", body="")

    def holds(self, task: Any) -> bool:
        """Whether the task's declaration, its routes and the process are still those that it was made for."""
        return _circumstances(self._app, task) == self._made_for

    def make(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        task_id: str,
        *,
        headers: str = "",
        properties: str = "",
    ) -> tuple[AsyncResult[Any], Envelope]:
        """``headers`` and ``properties``: more of them, as JSON.

        Raises TypeError for arguments that the task does not take, NotSerialisable and PayloadTooLarge.
        """
        named = dict(kwargs or {})
        if self._check is not None:
            self._check(*args, **named)
        first = self._first
        if self._secret is not None:
            args, named = self._secret.sealed(args, named)
        body = body_with(first.task, args, named, self._following)
        handle = self._handle(task_id, backend=self._backend or self._app.backend, app=self._app)
        handle.ignored = self._is_ignored
        if self._parent is not None:
            self._parent.add_trail(handle)
        root_id = task_id if self._is_root else first.root_id
        args_shown, kwargs_shown = self._shown(args, named, body)
        envelope = Envelope(
            id=task_id,
            task=first.task,
            domain=first.domain,
            queue=first.queue,
            headers=f'{{"id": {_quoted(task_id)}, "root_id": {_quoted(root_id) if root_id else "null"}, "argsrepr": '
            f'{_quoted(args_shown)}, "kwargsrepr": {_quoted(kwargs_shown)}{headers}{self._headers}',
            properties=f'{{"correlation_id": {_quoted(task_id)}{properties}{self._properties}',
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
            with suppress(Exception):  # of an argument's own __repr__
                shown = repr(args), repr(kwargs)
                if max(map(len, shown)) < self._longest:
                    return shown
        amqp, levels = self._app.amqp, self._app.conf.task_repr_maxlevels
        return (
            saferepr(args, amqp.argsrepr_maxsize, maxlevels=levels),
            saferepr(kwargs, amqp.kwargsrepr_maxsize, maxlevels=levels),
        )


def _circumstances(app: celery.Celery, task: Any) -> tuple[Any, ...]:
    """What a message tells beside its arguments; of the process, too, which may have been forked."""
    around = registry(), app.amqp.router, os.getpid()
    if task is None:
        return around
    return (*around, task._exec_options, task.ignore_result, task.at_most_once, task.typing)


def _without(fields: dict[str, Any], *names: str) -> str:
    """What comes behind these names in the JSON of the object."""
    rest = {name: value for name, value in fields.items() if name not in names}
    return f", {json.dumps(rest)[1:]}" if rest else "}"


def _arguments(call: Call) -> tuple[Sequence[Any] | None, Mapping[str, Any] | None]:
    return (None, dict(call)) if isinstance(call, Mapping) else (call, None)
