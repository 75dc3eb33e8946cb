"""Revocations by Celery's own means, as cancellations in the ledger: what is asked for here, or broadcast by others."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from celery import current_app, states
from celery.exceptions import TaskRevokedError
from celery.worker.control import control_command
from celery.worker.state import revoked as remembered
from django.db import connections
from kombu.utils.functional import maybe_list

from routing.ledger import processes, typed
from routing.worker.cancelling import Fate, Order, cancel, signal_named
from routing.worker.request import SETTLEMENTS, Job

REMOTE = "remote control"


def carry_out(command: str, arguments: Mapping[str, Any]) -> str:
    """``revoke`` or ``terminate``, as Celery's broadcast names them. Returns what became of each task."""
    ids, order = _asked(command, arguments, by=processes.whoever())
    fates: Mapping[str, Fate] = aside(lambda: record(ids, order))
    return "; ".join(f"{task_id}: {fate}" for task_id, fate in fates.items()) or "no task was named"


def record(task_ids: Iterable[str], order: Order) -> dict[str, Fate]:
    """Cancel each; one that nobody knows is recorded as REVOKED, so that it is refused once somebody brings it."""
    backend: Any = current_app.backend
    fates = {}
    for task_id in task_ids:
        fates[task_id] = cancel(task_id, order)
        if fates[task_id] is Fate.UNKNOWN:
            backend.store_result(task_id, TaskRevokedError("revoked"), states.REVOKED)
    return fates


def aside(call: Callable[[], Any]) -> Any:
    """In a thread of its own where an event loop runs, as in Flower: Django refuses to use its connection there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()

    def and_close() -> Any:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(and_close).result()


@control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(
    _state: Any, task_id: Any, terminate: bool = False, signal: str | None = None, **_: object
) -> dict[str, str]:
    """Revoke task by task id (or list of ids)."""
    return _in_worker("revoke", {"task_id": task_id, "terminate": terminate, "signal": signal})


@control_command(variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]")
def terminate(_state: Any, signal: str, task_id: Any, **_: object) -> dict[str, str]:
    """Terminate task by task id (or list of ids)."""
    return _in_worker("terminate", {"task_id": task_id, "signal": signal})


def _in_worker(command: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Recorded aside: this is the worker's event loop."""
    try:
        ids, order = _asked(command, arguments, by=REMOTE)
    except ValueError as error:
        return {"error": str(error)}
    # As Celery: what comes to this worker yet is refused at once, the retry of what runs included.
    remembered.update(ids)
    for task_id in ids:
        SETTLEMENTS.put(Job(task_id, partial(record, [task_id], order)))
    return {"ok": f"tasks {', '.join(ids)} flagged as revoked"}


def _asked(command: str, arguments: Mapping[str, Any], *, by: str) -> tuple[list[str], Order]:
    ids = [text for one in maybe_list(arguments.get("task_id")) or [] if (text := typed.task_id(one))]
    ends = command == "terminate" or bool(arguments.get("terminate"))
    signal = signal_named(arguments.get("signal")) if ends else None
    return list(dict.fromkeys(ids)), Order(by=by, signal=signal, spares_running=not ends)
