"""Settle: the outcome, from the deleted message row, in one transaction with all that hangs on it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from routing import faults
from routing.ledger import database, functions
from routing.ledger.enqueue import (
    ENQUEUE,
    ENQUEUE_MANY,
    OUTCOMES,
    REPLACED,
    Envelope,
    columns_of,
    document_of,
    enqueue,
)

SETTLE = "taskyard_settle_2"
SETTLE_KINDS = ("text", "integer", "bigint", "integer", "boolean", *["text"] * 12)
"""Types of its parameters."""
RESULT_COLUMNS = (
    "task_id, task_name, status, result, traceback, meta, task_args, task_kwargs, worker, periodic_task_name, "
    "content_type, content_encoding, date_created, date_started, date_done"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Which message row one may change: nobody else may have got hold of it, or decided to run it again.

    ``owner`` None: only while nobody owns it. ``pid`` where it matters which child of the owner runs it. ``replaced``:
    the row waits for the end of the chain that replaced its task, and has no epoch that matters.
    """

    task_id: str
    epoch: int = 0
    owner: int | None = None
    pid: int | None = None
    replaced: bool = False

    def sql(self) -> tuple[str, list[Any]]:
        # An unowned row of this epoch is as good as one's own: a database that crashed may have lost the claim.
        if self.replaced:
            return "id = %s AND state = %s", [self.task_id, REPLACED]
        if self.pid is None:
            return "id = %s AND epoch = %s AND (owner IS NULL OR owner = %s)", [self.task_id, self.epoch, self.owner]
        return (
            "id = %s AND epoch = %s AND (owner IS NULL OR (owner = %s AND pid = %s))",
            [self.task_id, self.epoch, self.owner, self.pid],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is recorded, all of it storable text. ``dead_letter`` names the reason for one, if there shall be one.

    ``meta`` is a JSON object; what the message's row knows, such as its domain and queue, is added to it.
    """

    status: str
    result: str | None
    traceback: str | None
    meta: str
    args: str
    kwargs: str
    worker: str | None
    periodic_task_name: str | None
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    dead_letter: str | None = None
    error: str | None = None


def settle(fence: Fence, outcome: Outcome, continuation: Sequence[Envelope] = ()) -> bool:
    """Record the outcome. False if the row is no longer ours, or if its id has an outcome: nothing follows then.

    One statement on PostgreSQL (postgresql/functions_2.sql). Inside an open transaction it is part of that one.
    """
    done = _on_postgresql if database.on_postgresql() else _on_sqlite
    won = done(fence, outcome, continuation)
    faults.point("settle.written")
    return won


def _on_postgresql(fence: Fence, outcome: Outcome, continuation: Sequence[Envelope]) -> bool:
    values = _settle_values(fence, outcome)
    if not continuation:
        return bool(functions.call(SETTLE, values))
    following: tuple[str, Sequence[Any]] = (ENQUEUE_MANY, [document_of(continuation)])
    if len(continuation) == 1:
        following = (ENQUEUE, columns_of(continuation[0]))
    return bool(functions.call(SETTLE, values, then=following))


def settle_many(outcomes: Sequence[tuple[Fence, Outcome]]) -> set[str]:
    """As ``settle``, for many after which nothing follows; on PostgreSQL in one statement. The ids of those it won."""
    if not database.on_postgresql():
        return {fence.task_id for fence, outcome in outcomes if _on_sqlite(fence, outcome, ())}
    names = [f"v{number}" for number, _ in enumerate(SETTLE_KINDS)]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, SETTLE_KINDS, strict=True))
    document = json.dumps([dict(zip(names, _settle_values(*one), strict=True)) for one in outcomes])
    settled = database.rows(
        f"SELECT v0 AS id, {SETTLE}({', '.join(names)}) AS won FROM json_to_recordset(%s) AS v ({columns})", [document]
    )
    return {row["id"] for row in settled if row["won"]}


def _settle_values(fence: Fence, outcome: Outcome) -> list[Any]:
    known = [fence.task_id, fence.epoch, fence.owner, fence.pid, fence.replaced]
    return [*known, *_result_values(outcome), outcome.dead_letter, outcome.error]


# What another release stored for a task that had not ended yet gives way.
_UPSERT = f"""
    ON CONFLICT (task_id) DO UPDATE SET
        status = excluded.status, result = excluded.result, traceback = excluded.traceback, meta = excluded.meta,
        task_args = excluded.task_args, task_kwargs = excluded.task_kwargs, worker = excluded.worker,
        date_started = excluded.date_started, date_done = excluded.date_done
    WHERE django_celery_results_taskresult.status NOT IN {OUTCOMES}
"""
_META_COLUMNS = ("domain", "queue", "attempt", "runs", "root_id", "parent_id")
"""The row's own, so that the books name the domain that accepted the task, whoever settles it."""


def _result_values(outcome: Outcome) -> list[Any]:
    return [
        outcome.status,
        outcome.result,
        outcome.traceback,
        outcome.meta,
        outcome.args,
        outcome.kwargs,
        outcome.worker,
        outcome.periodic_task_name,
        outcome.content_type,
        outcome.content_encoding,
    ]


def _letter_values(outcome: Outcome) -> list[Any]:
    return [outcome.dead_letter, outcome.error, outcome.traceback]


def _on_sqlite(fence: Fence, outcome: Outcome, continuation: Sequence[Envelope]) -> bool:
    condition, values = fence.sql()
    with database.atomic():
        gone = database.rows(f"DELETE FROM routing_message WHERE {condition} RETURNING *", values)
        if not gone:
            return False
        if not _record_on_sqlite(gone[0], outcome):
            return False
        enqueue(continuation)
    return True


def _record_on_sqlite(gone: database.Row, outcome: Outcome) -> bool:
    """False if its id had an outcome already."""
    now = database.now_sql()
    known = json.dumps({name: gone[name] for name in _META_COLUMNS} | _due(gone))
    outcome = replace(outcome, meta=f"{known[:-1]}, {outcome.meta[1:]}")
    stored = database.execute(
        f"INSERT INTO django_celery_results_taskresult ({RESULT_COLUMNS}) "
        f"VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, {now}) {_UPSERT}",
        [gone["id"], gone["task"], *_result_values(outcome), gone["created_at"], gone["started_at"]],
    )
    database.execute(
        "INSERT INTO routing_tally (domain, accepted, finished, pruned) VALUES (%s, 0, 1, %s)",
        [gone["domain"], 0 if stored else 1],
    )
    database.execute(
        f"DELETE FROM routing_uniquekey WHERE task_id = %s AND (expires_at IS NULL OR expires_at <= {now})",
        [gone["id"]],
    )
    if outcome.dead_letter and stored:
        copied = ("id", "task", "domain", "queue", "headers", "properties", "body", "attempt", "runs", "created_at")
        database.execute(
            "INSERT INTO routing_deadletter (task_id, task, domain, queue, headers, properties, body, attempt, runs, "
            "enqueued_at, reason, error, traceback, dead_at) "
            f"VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, {now})",
            [*(gone[name] for name in copied), *_letter_values(outcome)],
        )
    return bool(stored)


def _due(gone: database.Row) -> dict[str, str]:
    """When it was due, where that was later than when it was enqueued: it has not waited until then."""
    created_at, due_at = database.moment(gone["created_at"]), database.moment(gone["due_at"])
    return {"due_at": due_at.isoformat()} if due_at and created_at and due_at > created_at else {}


def store_aside(task_id: str, outcome: Outcome, *, task: str | None) -> bool:
    """Record an outcome for an id that has no message, unless one is recorded. It is in nobody's books.

    Never for one that is in flight, but to wait for the end of the chain that replaced it: this is that end.
    """
    if settle(Fence(task_id=task_id, replaced=True), outcome):
        return True
    now = database.now_sql()
    return bool(
        database.execute(
            f"INSERT INTO django_celery_results_taskresult ({RESULT_COLUMNS}) "
            f"SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, {now}, NULL, {now} "
            f"WHERE NOT EXISTS (SELECT 1 FROM routing_message WHERE id = %s) {_UPSERT}",
            [task_id, task, *_result_values(outcome), task_id],
        )
    )
