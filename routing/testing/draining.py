"""Drain: run what is enqueued, in this process, as relay and worker would: claim, body, settlement, what follows."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from celery import current_app, signals, states
from celery.app.trace import trace_task_ret
from django.db import transaction
from django.db.models.functions import Now

from routing.broker.outgoing import headers
from routing.broker.sending import Announcement
from routing.ledger import database, lookup, processes, wake
from routing.ledger.outbox import Publication
from routing.ledger.tables import Message, Outbox, Process
from routing.worker import incarnation

MOST_RUNS = 1000


class Endless(AssertionError):
    def __init__(self, runs: int, task: str) -> None:
        super().__init__(
            f"drain() has run {runs} tasks, and there are more, such as {task}. Does one enqueue or retry itself for "
            "ever? If there are so many: drain(runs=…)."
        )


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run, with what the task is after it: an outcome, or such as RETRY where it runs again.

    ``result`` is what it returned, as it was stored; ``error`` what it raised, where that made it a FAILURE.
    """

    id: str
    name: str
    state: str
    result: Any = None
    error: BaseException | None = None


def drain(
    *, at: datetime | timedelta | None = None, due_only: bool = True, raises: bool = True, runs: int = MOST_RUNS
) -> list[Ran]:
    """Run what is due, and what that enqueues in turn, in the order in which it is due, until nothing more is due.

    ``at``: what is due until then, a moment or so long from now, such as retries and delays. No clock is moved: a delay
    that a task asks for meanwhile counts from the present. ``due_only=False``: everything, whenever it is due.

    What a task raises is raised here once it is recorded, if it makes the task a FAILURE; what is behind it stays
    enqueued. With ``raises=False`` it is only recorded. Time limits are not enforced. Raises Endless after ``runs``.
    """
    done: list[Ran] = []
    with _worker():
        while (publication := _take(at=at, due_only=due_only)) is not None:
            if len(done) >= runs:
                raise Endless(runs, str(publication.message_id))
            message = lookup.in_flight(publication.message_id)
            if message is None or message.epoch != publication.epoch:
                continue
            done.append(_run(message))
            if raises and (error := done[-1].error) is not None:
                raise error
    return done


@contextmanager
def _worker() -> Iterator[None]:
    """This process owns what it claims."""
    owner = processes.register(Process.Role.WORKER, "drain")
    incarnation.become(owner)
    try:
        yield
    finally:
        incarnation.become(None)
        if not database.connection().needs_rollback:
            processes.leave(owner)


def _take(*, at: datetime | timedelta | None, due_only: bool) -> Outbox | None:
    """The next publication, which is made by that. A relay that runs at the same time may take it first."""
    due = Outbox.objects.using(database.using()).order_by("due_at", "pk")
    if due_only:
        until: Any = Now() + at if isinstance(at, timedelta) else at or Now()
        due = due.filter(due_at__lte=until)
    while (publication := due.first()) is not None:
        if due.filter(pk=publication.pk).delete()[0]:
            break
    return publication


def _run(message: Message) -> Ran:
    raised: list[BaseException] = []

    def note(exception: BaseException, **_: Any) -> None:
        raised.append(exception)

    signals.task_failure.connect(note, weak=False)
    try:
        with _as_committed(), _alone(current_app.tasks.get(message.task)):
            deliver(message)
    finally:
        signals.task_failure.disconnect(note)
    return _ran(message, raised)


def deliver(message: Message, **headers_changed: Any) -> Any:
    """Have the tracer run a copy of the message, as a pool's child would. Returns what that tells its main process."""
    publication = Publication(
        id=0,
        message_id=message.id,
        epoch=message.epoch,
        queue=message.queue,
        failures=0,
        attempt=message.attempt,
        headers=message.headers,
        properties=message.properties,
        body=message.body,
    )
    request = {
        **headers(publication),
        "hostname": "inline",
        "delivery_info": {"routing_key": message.queue},
        **headers_changed,
    }
    app: Any = current_app
    return trace_task_ret(message.task, message.id, request, json.loads(message.body), None, None, app=app)


def _ran(message: Message, raised: list[BaseException]) -> Ran:
    meta = current_app.backend.get_task_meta(message.id)
    state, result = meta["status"], meta["result"]
    if state == states.FAILURE:
        return Ran(id=message.id, name=message.task, state=state, error=raised[-1] if raised else result)
    return Ran(id=message.id, name=message.task, state=state, result=result)


@contextmanager
def _alone(task: Any) -> Iterator[None]:
    """In a worker each statement of a body that is not atomic is committed by itself, and an error spoils no other.

    In the test's transaction it would spoil all of it, and the outcome could not be recorded.
    """
    if task is None or task.atomic or not database.connection().in_atomic_block:
        yield
        return
    own, body = vars(task).get("run"), task.run
    task.run = _in_savepoint(body)
    try:
        yield
    finally:
        if own is None:
            del task.run
        else:
            task.run = own


def _in_savepoint(body: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(body)
    def run(*args: Any, **kwargs: Any) -> Any:
        using = database.using()
        before = transaction.savepoint(using=using)
        try:
            return body(*args, **kwargs)
        finally:
            if _is_spoiled():
                transaction.set_rollback(False, using=using)
                transaction.savepoint_rollback(before, using=using)
            transaction.savepoint_commit(before, using=using)

    return run


def _is_spoiled() -> bool:
    connection = database.connection()
    if connection.needs_rollback:
        return True
    return connection.vendor == "postgresql" and connection.connection.info.transaction_status.name == "INERROR"


@contextmanager
def _as_committed() -> Iterator[None]:
    """What a body leaves to be done at its commit is done after it, though the test's transaction goes on."""
    connection = database.connection()
    before = len(connection.run_on_commit)
    yield
    if not connection.in_atomic_block:
        return
    left = connection.run_on_commit[before:]
    # Ours tell what nobody can see yet, which stays true.
    connection.run_on_commit[before:] = [entry for entry in left if _is_ours(entry[1])]
    for entry in left:
        if not _is_ours(entry[1]):
            entry[1]()


def _is_ours(call: Any) -> bool:
    return isinstance(call, Announcement) or call is wake.wake
