"""Reschedule: to run again, under a new epoch, in the place of the message that is there."""

from datetime import datetime
from typing import Any

from celery import states

from routing.ledger import database
from routing.ledger.enqueue import REPLACED, Envelope, publish
from routing.ledger.settle import Fence


def retry(fence: Fence, envelope: Envelope, *, error: str) -> bool:
    """Run it again when it is due, as ``envelope`` has it. False if the row is no longer ours."""
    return _again(fence, envelope, state=states.RETRY, error=error)


def replace(fence: Fence, envelope: Envelope) -> bool:
    """Put another task in its place, under its id. False if the row is no longer ours."""
    return _again(fence, envelope, state=states.PENDING, error=None)


def set_aside(fence: Fence) -> bool:
    """Keep the row for the task that will come under its id, at the end of the chain that replaced it."""
    condition, values = fence.sql()
    return bool(
        database.execute(
            f"UPDATE routing_message SET state = %s, owner = NULL, pid = NULL, epoch = epoch + 1 WHERE {condition}",
            [REPLACED, *values],
        )
    )


def release(fence: Fence, *, error: str, delay: float = 0.0, counted: bool = True, is_unknown: bool = False) -> bool:
    """Let go of a task whose run ended without an outcome, so that it runs again.

    Its runs count on, unless told that this one does not: its body has not begun, or all it did is undone.
    ``is_unknown``: the worker cannot run it, and the ledger notes since when that has been so.
    """
    condition, values = fence.sql()
    return _publish_anew(
        f"""
        UPDATE routing_message
        SET owner = NULL, pid = NULL, epoch = epoch + 1, error = %s, due_at = {database.later_sql()},
            runs = CASE WHEN owner IS NULL OR %s THEN runs ELSE runs - 1 END,
            unknown_since = {f"coalesce(unknown_since, {database.now_sql()})" if is_unknown else "NULL"},
            state = CASE WHEN attempt > 1 THEN 'RETRY' ELSE 'PENDING' END
        WHERE {condition} RETURNING id, epoch, queue, due_at
        """,
        [error, delay, counted, *values],
    )


def hand_back(fence: Fence) -> bool:
    """Let go of a task whose body has not begun, in its place among those that wait. False if it is not ours to do."""
    condition, values = fence.sql()
    return _publish_anew(
        f"""
        UPDATE routing_message
        SET runs = CASE WHEN owner IS NULL THEN runs ELSE runs - 1 END, owner = NULL, pid = NULL, epoch = epoch + 1,
            state = CASE WHEN attempt > 1 THEN 'RETRY' ELSE 'PENDING' END
        WHERE {condition} AND state <> '{REPLACED}' RETURNING id, epoch, queue, due_at
        """,
        values,
    )


def _again(fence: Fence, envelope: Envelope, *, state: str, error: str | None) -> bool:
    """Wherever it goes now, it stays in the books of the domain that accepted it; and it expires as before, unless told
    otherwise.
    """
    condition, values = fence.sql()
    times = {"due_at": envelope.due or 0.0}
    if envelope.expires is not None:
        times["expires_at"] = envelope.expires
    changes = {
        "task": envelope.task,
        "queue": envelope.queue,
        "headers": envelope.headers,
        "properties": envelope.properties,
        "body": envelope.body,
        "attempt": envelope.attempt,
        "at_most_once": envelope.at_most_once,
        "state": state,
        "error": error,
    }
    return _publish_anew(
        f"""
        UPDATE routing_message
        SET {", ".join(f"{name} = %s" for name in changes)}, {", ".join(map(_time_sql, times, times.values()))},
            epoch = epoch + 1, runs = 0, owner = NULL, pid = NULL, progress = NULL, unknown_since = NULL
        WHERE {condition} RETURNING id, epoch, queue, due_at
        """,
        [*changes.values(), *map(_time, times.values()), *values],
    )


def _time_sql(column: str, when: float | datetime) -> str:
    return f"{column} = {'%s' if isinstance(when, datetime) else database.later_sql()}"


def _time(when: float | datetime) -> Any:
    return database.parameter(when) if isinstance(when, datetime) else when


def _publish_anew(update: str, values: list[Any]) -> bool:
    if not database.on_postgresql():
        with database.atomic():
            changed = database.rows(update, values)
            for row in changed:
                publish(row)
            return bool(changed)
    return bool(
        database.rows(
            f"""
            WITH changed AS ({update}), published AS (
                INSERT INTO routing_outbox (message_id, epoch, queue, due_at, failures)
                SELECT id, epoch, queue, due_at, 0 FROM changed
            ) SELECT id FROM changed
            """,
            values,
        )
    )
