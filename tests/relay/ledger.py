"""Rows of the ledger as enqueueing writes them, and what a relay makes of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import connection as ours
from django.utils import timezone
from kombu import Connection

from routing.broker import topology
from routing.ledger.tables import Message, Outbox, Process


def waiting(queue: str = "reporting", count: int = 1, *, publish: bool = True, **values: Any) -> list[Message]:
    """Messages in flight, each with its publication unless told otherwise."""
    messages = Message.objects.bulk_create([_message(queue, **values) for _ in range(count)])
    if publish:
        Outbox.objects.bulk_create([publication(message) for message in messages])
    return messages


def publication(message: Message, **values: Any) -> Outbox:
    given = {"message_id": message.pk, "epoch": message.epoch, "queue": message.queue, "due_at": message.due_at}
    return Outbox(**{**given, "failures": 0, **values})


def _message(queue: str, **values: Any) -> Message:
    # SQLite's clock counts milliseconds, ours microseconds: what is just due by ours would not be by SQLite's.
    now, task_id = ago(milliseconds=5), str(uuid4())
    headers = {"lang": "py", "task": "reporting.probe", "id": task_id, "retries": 0, "eta": None, "root_id": task_id}
    given = {
        "id": task_id,
        "task": "reporting.probe",
        "domain": queue.partition(".")[0],
        "queue": queue,
        "headers": json.dumps(headers),
        "properties": json.dumps({"correlation_id": task_id, "reply_to": ""}),
        "body": json.dumps([["nowhere"], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
        "state": "PENDING",
        "epoch": 1,
        "attempt": 1,
        "runs": 0,
        "at_most_once": False,
        "due_at": now,
        "created_at": now,
    }
    return Message(**{**given, **values})


def dead_process() -> Process:
    return Process.objects.create(role="worker", name="gone", host="here", pid=1, dead_at=timezone.now())


def living_process() -> Process:
    return Process.objects.create(role="worker", name="lives", host="here", pid=1)


@contextmanager
def held(message: Message) -> Iterator[None]:
    """The row is in the open transaction of another process, which stands still. Whoever waits for it gets an error."""
    other = ours.copy()
    with ours.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM routing_message WHERE id = %s FOR UPDATE", [message.pk])
        yield
    finally:
        other.close()
        ours.close()


def ago(**period: float) -> datetime:
    return timezone.now() - timedelta(**period)


def ready(connection: Connection, queue: str) -> int:
    return topology.message_count(connection, queue) or 0


def epochs(connection: Connection, queue: str) -> list[tuple[str, int]]:
    """Task id and epoch of each message in the queue, in order; they are taken out of it."""
    return [(message.headers["id"], message.headers["taskyard_epoch"]) for message in taken(connection, queue)]


def taken(connection: Connection, queue: str) -> Iterator[Any]:
    with connection.channel() as channel:
        while (message := channel.basic_get(queue, no_ack=True)) is not None:  # type: ignore[attr-defined]
            yield channel.message_to_python(message)  # type: ignore[attr-defined]
