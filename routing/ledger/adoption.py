"""Messages that the ledger did not publish, or no longer knows."""

from datetime import datetime
from typing import Any

from routing.ledger import database
from routing.ledger.enqueue import OUTCOMES, Envelope

LOST = "The ledger has neither this task nor its result."
EPOCH = 0
"""Of a message that came without one. The ledger's own begin with 1."""


def adopt(envelope: Envelope) -> bool:
    """Insert a foreign message and count it accepted; from here it is like any other. Safe to call again."""
    now = database.now_sql()
    expires = envelope.expires if isinstance(envelope.expires, datetime) else None
    values: list[Any] = [
        *(envelope.id, envelope.task, envelope.domain, envelope.queue, envelope.headers, envelope.properties),
        *(envelope.body, envelope.attempt, envelope.root_id, envelope.parent_id, envelope.at_most_once),
        *(database.parameter(expires), envelope.id),
    ]
    # PostgreSQL takes what it cannot tell the type of for text.
    flag, moment = ("%s::boolean", "%s::timestamptz") if database.on_postgresql() else ("%s", "%s")
    with database.atomic():
        added = database.execute(
            f"""
            INSERT INTO routing_message (id, task, domain, queue, headers, properties, body, attempt, root_id,
                parent_id, at_most_once, expires_at, state, epoch, runs, due_at, created_at)
            SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, {flag}, {moment}, 'PENDING', {EPOCH}, 0, {now}, {now}
            WHERE NOT EXISTS (
                SELECT 1 FROM django_celery_results_taskresult WHERE task_id = %s AND status IN {OUTCOMES}
            )
            ON CONFLICT (id) DO NOTHING
            """,
            values,
        )
        if added:
            database.execute(
                "INSERT INTO routing_tally (domain, accepted, finished, pruned) VALUES (%s, 1, 0, 0)",
                [envelope.domain],
            )
    return bool(added)


def keep_unknown(envelope: Envelope) -> None:
    """Keep a ledger message whose row and result are both gone, as after restoring an older backup: a dead letter.

    Safe to call again, and by several at once, each with a copy.
    """
    with database.atomic():
        database.hold(f"dead letter {envelope.id}")
        database.execute(
            f"""
            INSERT INTO routing_deadletter (task_id, task, domain, queue, headers, properties, body, reason, error,
                attempt, runs, dead_at)
            SELECT %s, %s, %s, %s, %s, %s, %s, 'lost', %s, %s, 0, {database.now_sql()}
            WHERE NOT EXISTS (SELECT 1 FROM routing_deadletter WHERE task_id = %s AND reason = 'lost')
            """,
            [
                *(envelope.id, envelope.task, envelope.domain, envelope.queue, envelope.headers, envelope.properties),
                *(envelope.body, LOST, envelope.attempt, envelope.id),
            ],
        )
