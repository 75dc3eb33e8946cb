"""Has tasks that wait for a later time run sooner: what they waited for has changed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction

from routing.ledger import database, wake


def bring_forward(queues: Sequence[str], *, error: str, every: float = 0.0, most: int = 1_000_000) -> int:
    """Those of these queues whose ``error`` begins so, in their order: now, and each next one ``every`` seconds later.

    How many these were. What is on its way already, or running, is left alone. Safe to call again.
    """
    with database.atomic():
        transaction.on_commit(wake.wake, using=database.using())
        return (
            _all_at_once(queues, error, every, most) if database.on_postgresql() else _each(queues, error, every, most)
        )


def _all_at_once(queues: Sequence[str], error: str, every: float, most: int) -> int:
    # The message first, as whoever cancels it.
    return database.execute(
        f"""
        WITH chosen AS ({_chosen(queues)}), moved AS (
            UPDATE routing_message AS message SET due_at = {database.now_sql()} + make_interval(secs => place * %s)
            FROM chosen WHERE message.id = chosen.id AND message.epoch = chosen.epoch AND message.owner IS NULL
            RETURNING chosen.publication, message.due_at
        )
        UPDATE routing_outbox AS outbox SET due_at = moved.due_at FROM moved WHERE outbox.id = moved.publication
        """,
        [*_values(queues, error, most), every],
    )


def _each(queues: Sequence[str], error: str, every: float, most: int) -> int:
    found, now = database.rows(_chosen(queues), _values(queues, error, most)), database.now()
    # One reading of the clock, so that both tables say the same.
    moments = [database.parameter(now + timedelta(seconds=row["place"] * every)) for row in found]
    for table, key in (("routing_message", "id"), ("routing_outbox", "publication")):
        database.execute_many(
            f"UPDATE {table} SET due_at = %s WHERE id = %s",
            [(moment, row[key]) for moment, row in zip(moments, found, strict=True)],
        )
    return len(found)


def _chosen(queues: Sequence[str]) -> str:
    return f"""
        SELECT message.id, message.epoch, outbox.id AS publication,
            row_number() OVER (ORDER BY outbox.due_at, outbox.id) - 1 AS place
        FROM routing_outbox AS outbox
        JOIN routing_message AS message ON message.id = outbox.message_id AND message.epoch = outbox.epoch
        WHERE outbox.queue IN ({", ".join(["%s"] * len(queues))}) AND outbox.due_at > {database.now_sql()}
            AND message.owner IS NULL AND substr(message.error, 1, %s) = %s
        ORDER BY outbox.due_at, outbox.id LIMIT %s
    """


def _values(queues: Sequence[str], error: str, most: int) -> list[Any]:
    return [*queues, len(error), error, most]
