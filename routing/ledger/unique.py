"""Unique keys: one task in flight for each, and none anew until its period is over."""

from routing.ledger import database


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
        # A key whose task is gone, and whose period is over, is anybody's.
        f"""
        UPDATE routing_uniquekey SET task_id = %s, expires_at = {expiry}
        WHERE key = %s AND coalesce(expires_at <= {database.now_sql()}, TRUE)
            AND NOT EXISTS (SELECT 1 FROM routing_message WHERE id = routing_uniquekey.task_id)
        """,
        [task_id, *values, key],
    )
    if taken:
        return task_id
    holder = database.rows("SELECT task_id FROM routing_uniquekey WHERE key = %s", [key])
    # Gone between the two looks: its task has just finished, so the key is free.
    return str(holder[0]["task_id"]) if holder else acquire(key, task_id, seconds=seconds)


def forget_expired() -> int:
    """Remove keys whose period is over and whose task is not in flight."""
    return database.execute(
        f"""
        DELETE FROM routing_uniquekey WHERE expires_at <= {database.now_sql()}
            AND NOT EXISTS (SELECT 1 FROM routing_message WHERE id = routing_uniquekey.task_id)
        """
    )
