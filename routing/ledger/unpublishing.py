"""Unpublishing: a message that is to go another way, or none, need not be published as it was going to be."""

import json
from collections.abc import Sequence

from routing.ledger import database
from routing.ledger.tables import Message

# LATERAL and ARRAY, so that each is looked up in an index, however little PostgreSQL knows of its tables.
UNPUBLISH = """
    DELETE FROM routing_outbox WHERE id = ANY (ARRAY(
        SELECT published.id FROM json_to_recordset(%s) AS gone (id text, queue text, due_at timestamptz)
        CROSS JOIN LATERAL (
            SELECT outbox.id FROM routing_outbox AS outbox
            WHERE outbox.queue = gone.queue AND outbox.due_at = gone.due_at AND outbox.message_id = gone.id
            FOR UPDATE SKIP LOCKED
        ) AS published
    ))
"""


def unpublish(messages: Sequence[Message]) -> None:
    """Found by the index on queue and due time: a publication that was put back, and one that a relay has in hand just
    now, are left. Of them a relay finds no message, and a worker nothing to claim.
    """
    if database.on_postgresql():
        places = [{"id": one.id, "queue": one.queue, "due_at": one.due_at.isoformat()} for one in messages]
        database.execute(UNPUBLISH, [json.dumps(places)])
        return
    for message in messages:
        # Text, in which zeros at the end are there or not.
        due = message.due_at.strftime("%Y-%m-%d %H:%M:%S.%f")
        database.execute(
            "DELETE FROM routing_outbox WHERE queue = %s AND message_id = %s AND due_at BETWEEN %s AND %s",
            [message.queue, message.id, due.rstrip("0").rstrip("."), due],
        )
