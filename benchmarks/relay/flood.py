"""A backlog of a million tasks within a minute: the very function that enqueues, with rows that the database makes."""

from collections.abc import Iterator

from benchmarks.relay import tasks
from routing.ledger import continuation, database
from routing.ledger.enqueue import ENQUEUE_MANY, Envelope, document_of

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
    (row,) = database.rows(_COPIES, [document_of([_envelope()]), count])
    return list(row["ids"])


def _envelope() -> Envelope:
    """What one call of the task comes to."""
    with continuation.collect() as collected:
        tasks.flood.apply_async((1, "so many of us"), queue=LANE)
    (envelope,) = collected.envelopes
    return envelope


# A copy differs in its id, which stands in its headers, too.
_COPIES = f"""
    WITH one AS (SELECT row, row ->> 'id' AS id FROM jsonb_array_elements(%s::jsonb) AS row), copies AS (
        SELECT row || jsonb_build_object(
            'id', new_id, 'root_id', new_id, 'headers', replace(row ->> 'headers', id, new_id),
            'properties', replace(row ->> 'properties', id, new_id)
        ) AS copy
        FROM one, (SELECT gen_random_uuid()::text AS new_id FROM generate_series(1, %s)) AS ids
    )
    SELECT {ENQUEUE_MANY}((SELECT json_agg(copy) FROM copies)) AS ids
"""  # noqa: S608


def drain() -> None:
    """Take the backlog away, and all that is in flight, so that the next measurement begins as the first did."""
    for table in ("routing_outbox", "routing_message"):
        database.execute(f"TRUNCATE {table}" if database.on_postgresql() else f"DELETE FROM {table}")  # noqa: S608
