"""What this thread is at work for, a task or an HTTP request: log lines tell it, and tasks enqueued meanwhile keep it.

The id of a request goes with the tasks that it enqueues, and with all that these enqueue in their turn.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple
from uuid import uuid4

from django.core.signals import request_finished

from routing.broker.names import logical
from routing.domains import registry

HEADER = "taskyard_request_id"
"""Of a message: the HTTP request that it comes from."""
_USABLE = re.compile(r"[A-Za-z0-9._~-]{1,64}\Z")


class Work(NamedTuple):
    """A task; ``queue`` by the broker's name or ours, ``outer`` what the thread was at before."""

    task: str
    task_id: str
    root_id: str | None
    queue: str | None
    request_id: str | None
    outer: "Work | None" = None


_work: ContextVar[Work | None] = ContextVar("work", default=None)
_request: ContextVar[str | None] = ContextVar("request", default=None)


def usable(value: object) -> str | None:
    """An id that others gave, or None: it is to stand in a line of a log, and begin no other."""
    return value if isinstance(value, str) and _USABLE.match(value) else None


def begin_request(given: str | None) -> str:
    """From here on this thread answers a request, until Django says that it is finished. A new id, if none is given."""
    found = usable(given) or uuid4().hex
    _request.set(found)
    return found


def end_request(**_: Any) -> None:
    # Not with the last middleware: Django tells of a request that failed after that.
    _request.set(None)


request_finished.connect(end_request, dispatch_uid="routing.correlation")


def request_id() -> str | None:
    """Of the HTTP request that is at the origin of what this thread does."""
    doing = _work.get()
    return doing.request_id if doing is not None else _request.get()


def work() -> Work | None:
    return _work.get()


def begin_task(task_id: str, task: Any, **_: Any) -> None:
    """For Celery's ``task_prerun``. The task of one that is called within another, eagerly, comes on top of that."""
    request = task.request
    _work.set(_of(task.name, task_id, vars(request), request.delivery_info))


def end_task(**_: Any) -> None:
    doing = _work.get()
    _work.set(doing.outer if doing is not None else None)


def work_of(request: Any) -> Work:
    """What a worker's main process does for a ``request`` of Celery's."""
    return _of(request.name, request.id, request.request_dict, request.delivery_info)


@contextmanager
def at(doing: Work | None) -> Iterator[None]:
    before = _work.get()
    _work.set(doing)
    try:
        yield
    finally:
        _work.set(before)


def fields() -> dict[str, str]:
    """For a line of a log: what there is of task, task_id, domain, lane, root_id and request_id."""
    found: dict[str, str] = {}
    if (doing := _work.get()) is not None:
        found = about(task=doing.task, task_id=doing.task_id, queue=doing.queue, root_id=doing.root_id)
    return found | ({"request_id": asked} if (asked := request_id()) else {})


def about(*, queue: str | None = None, task: str | None = None, **known: str | None) -> dict[str, str]:
    """The same of something that this thread does not run, for a logger's ``extra``."""
    found = {name: value for name, value in {"task": task, **known}.items() if value}
    if pool := registry().pools.get(logical(queue or "")):
        return found | {"domain": pool.domain.name, "lane": pool.lane.name}
    domain = registry().of_task(task) if task else None
    return found | ({"domain": domain.name} if domain else {})


def _of(task: str, task_id: str, message: Mapping[str, Any], delivery: Any) -> Work:
    queue, asked = (delivery or {}).get("routing_key"), usable(message.get(HEADER))
    return Work(task, task_id, message.get("root_id"), queue, asked or request_id(), _work.get())
