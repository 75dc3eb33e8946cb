"""Enqueue: the rows that promise a task, in the caller's transaction."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from json.encoder import encode_basestring as _quoted
from operator import attrgetter
from typing import Any, NamedTuple

from celery import states
from django.db import transaction

from routing.ledger import database, functions

BATCH = 500
ENQUEUE, ENQUEUE_MANY = "taskyard_enqueue_1", "taskyard_enqueue_many_1"
OUTCOMES = (states.SUCCESS, states.FAILURE, states.REVOKED, states.IGNORED)
"""What a task can come to; once recorded, none of them changes."""
REPLACED = "REPLACED"
"""In flight, but not to be run: the last task of the chain that replaced it will come under its id."""


class Envelope(NamedTuple):
    """A task as it goes into the ledger. ``headers``, ``properties`` and ``body`` are JSON, exactly as published.

    ``due`` and ``expires`` are a number of seconds from now, by the database's clock, or a point in time.
    """

    id: str
    task: str
    domain: str
    queue: str
    headers: str
    properties: str
    body: str
    attempt: int = 1
    at_most_once: bool = False
    due: float | datetime | None = None
    expires: float | datetime | None = None
    root_id: str | None = None
    parent_id: str | None = None


COLUMNS = (
    *("id", "task", "domain", "queue", "headers", "properties", "body", "attempt", "at_most_once"),
    *("due_in", "due_at", "expires_in", "expires_at", "root_id", "parent_id"),
)
_OWN = ("id", "headers", "properties", "body", "root_id")
"""What differs from row to row of a batch. The JSON of all else is made once: it is most of what a row takes."""
_own_of = attrgetter(*_OWN)
_others_of = attrgetter(*(name for name in Envelope._fields if name not in _OWN))


def enqueue(envelopes: Sequence[Envelope]) -> set[str]:
    """Insert messages, publications and the tally. Returns the ids that were new. Safe to call again.

    An id that is in flight, or whose outcome is recorded, is left alone. An outcome that is just being recorded escapes
    this look; the claim looks again. An id whose task was replaced by a chain gets the task that ends the chain,
    and stays in the books of its domain.
    """
    new: set[str] = set()
    for start in range(0, len(envelopes), BATCH):
        batch = envelopes[start : start + BATCH]
        new |= _on_postgresql(batch) if database.on_postgresql() else _on_sqlite(batch)
    return new


class Prepared(NamedTuple):
    """BATCH tasks at most, with what is to be sent for them."""

    batch: Sequence[Envelope]
    document: str | None


def prepared(batch: Sequence[Envelope]) -> Prepared:
    return Prepared(batch, document_of(batch) if database.on_postgresql() else None)


@contextmanager
def enqueueing(ready: Prepared) -> Iterator[None]:
    """``enqueue`` them while the block runs; PostgreSQL works at the same time."""
    if ready.batch and ready.document is not None:
        with functions.meanwhile(ENQUEUE_MANY, [ready.document]):
            yield
    else:
        enqueue(ready.batch)
        yield


def _on_postgresql(batch: Sequence[Envelope]) -> set[str]:
    if len(batch) == 1:
        return {batch[0].id} if functions.call(ENQUEUE, columns_of(batch[0])) else set()
    return set(functions.call(ENQUEUE_MANY, [document_of(batch)]))


def document_of(batch: Sequence[Envelope]) -> str:
    """The parameter of ENQUEUE_MANY: of each id the first, as if they were enqueued one by one."""
    rows, ends = [], dict[tuple[Any, ...], str]()
    for envelope in _first_of_each_id(batch):
        others = _others_of(envelope)
        if isinstance(envelope.due, datetime) or isinstance(envelope.expires, datetime):
            # Two moments may be equal and yet be different ones: those of the hour that a clock goes back for.
            others = *others, getattr(envelope.due, "fold", 0), getattr(envelope.expires, "fold", 0)
        end = ends.get(others)
        if end is None:
            end = ends[others] = _end_of(envelope)
        task_id, headers, properties, body, root_id = _own_of(envelope)
        rows.append(
            f'{{"id": {_quoted(task_id)}, "headers": {_quoted(headers)}, "properties": {_quoted(properties)}, '
            f'"body": {_quoted(body)}, "root_id": {"null" if root_id is None else _quoted(root_id)}, {end}'
        )
    # Half a surrogate pair is to fail where this is sent, as it does in a single one, and not in the caller's
    # transaction.
    return f"[{', '.join(rows)}]"


def _end_of(envelope: Envelope) -> str:
    """Of its row, the JSON of what is not its own."""
    columns = zip(COLUMNS, columns_of(envelope), strict=True)
    shared = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in columns}
    return json.dumps({name: value for name, value in shared.items() if name not in _OWN}, ensure_ascii=False)[1:]


def _first_of_each_id(batch: Sequence[Envelope]) -> Iterable[Envelope]:
    # PostgreSQL's ON CONFLICT DO UPDATE refuses to touch a row twice in one statement.
    firsts: dict[str, Envelope] = {}
    for envelope in batch:
        firsts.setdefault(envelope.id, envelope)
    return firsts.values()


def columns_of(one: Envelope) -> tuple[Any, ...]:
    """As COLUMNS has them; also the parameters of ENQUEUE."""
    *before, due, expires, root_id, parent_id = one
    return *before, *_seconds_or_moment(due), *_seconds_or_moment(expires), root_id, parent_id


def _seconds_or_moment(when: float | datetime | None) -> tuple[float | None, datetime | None]:
    return (None, when) if isinstance(when, datetime) else (when, None)


def _on_sqlite(batch: Sequence[Envelope]) -> set[str]:
    added: list[database.Row] = []
    with transaction.atomic(using=database.using(), savepoint=False):
        for envelope in batch:
            added += _insert_on_sqlite(envelope)
        for domain, count in Counter(row["domain"] for row in added if row["epoch"] == 1).items():
            database.execute(
                "INSERT INTO routing_tally (domain, accepted, finished, pruned) VALUES (%s, %s, 0, 0)", [domain, count]
            )
    return {row["id"] for row in added}


def _insert_on_sqlite(envelope: Envelope) -> list[database.Row]:
    now = database.now_sql()
    *columns, due_in, due_at, expires_in, expires_at, root_id, parent_id = columns_of(envelope)
    moments = [database.parameter(due_at), due_in or 0, database.parameter(expires_at), expires_in]
    added = database.rows(
        f"""
        INSERT INTO routing_message (id, task, domain, queue, headers, properties, body, attempt, at_most_once,
            due_at, expires_at, root_id, parent_id, state, epoch, runs, created_at)
        SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, {database.later_sql()}),
            coalesce(%s, {database.later_sql()}), %s, %s, 'PENDING', 1, 0, {now}
        WHERE NOT EXISTS (
            SELECT 1 FROM django_celery_results_taskresult WHERE task_id = %s AND status IN {OUTCOMES}
        )
        ON CONFLICT (id) DO UPDATE SET
            task = excluded.task, queue = excluded.queue, headers = excluded.headers,
            properties = excluded.properties, body = excluded.body, state = 'PENDING', attempt = excluded.attempt,
            runs = 0, at_most_once = excluded.at_most_once, due_at = excluded.due_at,
            expires_at = excluded.expires_at, epoch = epoch + 1
            WHERE state = '{REPLACED}'
        RETURNING id, domain, queue, epoch, due_at
        """,
        [*columns, *moments, root_id, parent_id, envelope.id],
    )
    for row in added:
        publish(row)
    return added


def publish(row: database.Row) -> None:
    """Insert the publication of a message: its ``id``, ``epoch``, ``queue`` and ``due_at``."""
    database.execute(
        "INSERT INTO routing_outbox (message_id, epoch, queue, due_at, failures) VALUES (%s, %s, %s, %s, 0)",
        [row["id"], row["epoch"], row["queue"], row["due_at"]],
    )
