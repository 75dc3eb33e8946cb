"""Unique keys: one task in flight for each, and none anew until its period is over."""

from operator import attrgetter

from routing.ledger import database
from routing.ledger.continuation import Continuation
from routing.ledger.enqueue import Envelope


def acquire(key: str, task_id: str, *, seconds: float | None = None) -> str:
    """Take the key for this task, or learn which task has it. Returns the holder's id.

    Inside the transaction that enqueues the task. Two at once: the second waits for the first, joins it if it commits
    and takes the key if it rolls back. ``seconds`` keeps the key for so long, also when the task is finished sooner.
    """
    expiry, values = ("NULL", []) if seconds is None else (database.later_sql(), [seconds])
    taken = database.execute(
        f"INSERT INTO routing_uniquekey (key, task_id, expires_at) VALUES (%s, %s, {expiry}) "
        "ON CONFLICT (key) DO NOTHING",
        [key, task_id, *values],
    ) or database.execute(
        # A key whose task is gone, and whose period is over, is anybody's. Where we wait for another one to take it, we
        # still do not see his task: so only from the holder that was there when this statement began.
        f"""
        UPDATE routing_uniquekey SET task_id = %s, expires_at = {expiry}
        WHERE key = %s AND task_id = (SELECT seen.task_id FROM routing_uniquekey AS seen WHERE seen.key = %s)
            AND coalesce(expires_at <= {database.now_sql()}, TRUE)
            AND NOT EXISTS (SELECT 1 FROM routing_message WHERE id = routing_uniquekey.task_id)
        """,
        [task_id, *values, key, key],
    )
    if taken:
        return task_id
    holder = database.rows("SELECT task_id FROM routing_uniquekey WHERE key = %s", [key])
    # Gone between the two looks: its task has just finished, so the key is free.
    return str(holder[0]["task_id"]) if holder else acquire(key, task_id, seconds=seconds)


def admitted(sent: Continuation) -> list[Envelope]:
    """What of it is to be enqueued: not the tasks whose key another one holds. Their handles become the holder's.

    Inside the transaction that enqueues the rest, and with the outcome it follows from: were a key taken when its task
    is sent, a run that dies in between, or whose settlement is discarded, would leave it to a task that never was.
    Safe to call again, as after a rollback.
    """
    if not sent.keys:
        return sent.envelopes
    holders: dict[str, str] = {}
    # In one order everywhere, so that two transactions with several keys each do not wait for one another; of those
    # here that want the same key, the first that was sent is first. It has no message yet, so nobody is asked twice.
    for wish in sorted(sent.keys, key=attrgetter("key")):
        if wish.key not in holders:
            holders[wish.key] = acquire(wish.key, wish.task_id, seconds=wish.seconds)
        wish.handle.id = holders[wish.key]
    joined = {wish.task_id for wish in sent.keys if wish.task_id != holders[wish.key]}
    return [envelope for envelope in sent.envelopes if envelope.id not in joined]
