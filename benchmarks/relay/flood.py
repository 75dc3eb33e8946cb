"""A backlog of a million tasks within a minute: the very statement that enqueues, with rows that the database makes."""

from collections.abc import Iterator

from benchmarks.relay import tasks
from routing.ledger import continuation, database
from routing.ledger.enqueue import POSTGRESQL_ROWS, Envelope, parameters, postgresql_inserts

LANE = "notifications.bulk"
CHUNK = 10_000


def pour(count: int) -> Iterator[int]:
    """Enqueue so many tasks into LANE, all of them due. Yields how many there are after each transaction."""
    done = 0
    while done < count:
        chunk = min(CHUNK, count - done)
        if database.on_postgresql():
            enqueue(chunk)
        else:
            tasks.flood.enqueue_many([(number,) for number in range(chunk)], queue=LANE)  # type: ignore[attr-defined]
        done += chunk
        yield done


def enqueue(count: int) -> list[str]:
    """So many tasks in one statement, on PostgreSQL. Returns their ids."""
    return [row["id"] for row in database.rows(_COPIES, [*parameters([_envelope()]), count])]


def _envelope() -> Envelope:
    """What one call of the task comes to."""
    with continuation.collect() as collected:
        tasks.flood.apply_async((1, "so many of us"), queue=LANE)
    (envelope,) = collected.envelopes
    return envelope


# A copy differs in its id, which stands in its headers, too.
_COPIES = f"""
    WITH {POSTGRESQL_ROWS.replace("new AS", "one AS", 1)}, ids AS (
        SELECT gen_random_uuid()::text AS new_id, number FROM generate_series(1, %s) AS number
    ), new AS (
        SELECT new_id AS id, task, domain, queue, replace(headers, id, new_id) AS headers,
            replace(properties, id, new_id) AS properties, body, attempt, at_most_once, due_in, due_at, expires_in,
            expires_at, new_id AS root_id, parent_id, number AS position
        FROM one, ids
    ), {postgresql_inserts("TRUE")} SELECT id FROM added
"""  # noqa: S608


def drain() -> None:
    """Take the backlog away, and all that is in flight, so that the next measurement begins as the first did."""
    for table in ("routing_outbox", "routing_message"):
        database.execute(f"TRUNCATE {table}" if database.on_postgresql() else f"DELETE FROM {table}")  # noqa: S608
