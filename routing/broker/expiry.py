"""Expiry: tasks that were not started in time are recorded as REVOKED, reason ``expired``."""

import logging
import time

from celery import states

from routing.ledger import database, unrun
from routing.ledger.enqueue import REPLACED
from routing.ledger.tables import Message

logger = logging.getLogger(__name__)

BATCH = 50
SECONDS = 0.5
"""How long one sweep goes on; what is left then waits for the next."""
ERROR = "It was not started by the time it expires."


def sweep() -> int:
    """Settle what nobody has claimed and is past its time. Returns how many. Safe to call again."""
    count, until, failed = 0, time.monotonic() + SECONDS, set[str]()
    while (ids := _expired(failed)) and time.monotonic() < until:
        for message in Message.objects.using(database.using()).filter(pk__in=ids, owner=None):
            count += unrun.settle(message, status=states.REVOKED, reason="expired", error=ERROR)
        failed.update(ids)
    if count:
        logger.info("%d tasks have expired", count)
    return count


def _expired(seen: set[str]) -> list[str]:
    now, passing_over = database.now_sql(), ""
    if database.on_postgresql():
        # What a long transaction holds, such as one that revokes it, keeps this thread from nothing else.
        now, passing_over = "statement_timestamp()", "FOR UPDATE SKIP LOCKED"
    found = database.rows(
        "SELECT id FROM routing_message WHERE expires_at IS NOT NULL "  # noqa: S608  (no value comes from outside)
        f"AND expires_at <= {now} AND owner IS NULL AND state <> '{REPLACED}' "
        f"ORDER BY expires_at LIMIT {BATCH + len(seen)} {passing_over}"
    )
    return [row["id"] for row in found if row["id"] not in seen]
