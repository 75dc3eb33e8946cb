"""Outbox: what is due to be published, a batch at a time, each batch taken by one relay only.

PostgreSQL deletes a batch's rows in the transaction that ends when the broker has confirmed. SQLite has one lock for
all writers, so there a relay reads, publishes with no transaction open, and then deletes; it has to be the only relay.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from routing import faults
from routing.ledger import database, functions, marker
from routing.ledger.floors import LATE, Floors

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a publication that failed is tried again; doubled each time."""
ABANDONED_AFTER = 60
"""Seconds after which PostgreSQL ends a batch that does not get on: far more than one waits for confirmation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Publication:
    """One copy of a message to publish. ``headers``, ``properties`` and ``body`` are JSON, as they were enqueued."""

    id: int
    message_id: str
    epoch: int
    queue: str
    failures: int
    attempt: int
    headers: str
    properties: str
    body: str


@dataclass
class Batch:
    """``publications`` of one queue. ``seen`` counts those as well whose message is over or has a newer epoch.

    ``is_full``: it took as many as it was allowed to, so that more may be due.
    """

    queue: str
    publications: list[Publication]
    seen: list[database.Row]
    is_full: bool
    refused: dict[int, str] = field(default_factory=dict)

    def refuse(self, reasons: Mapping[int, str]) -> None:
        """By publication id, why it could not be published. It goes back, to be tried again later."""
        self.refused.update(reasons)

    def __len__(self) -> int:
        return len(self.seen)


def due_queues(known: Iterable[str], *, floors: Floors | None = None, in_full: bool = False) -> dict[str, float]:
    """Seconds until the first publication of each of these queues is due, negative if it is; no entry if none waits.

    Looks from the floors on, and raises them, unless ``in_full``.
    """
    names = list(known)
    if not names:
        return {}
    if not database.on_postgresql():
        return _due_on_sqlite(names)
    floors = floors or Floors()
    since = {queue: None if in_full else floors.since(queue) for queue in names}
    found = functions.ask(_DUE, [functions.array(names), functions.array(list(since.values())), LATE]) or []
    for row in found:
        floors.looked(
            row["queue"], since=since[row["queue"]], empty_until=row["empty_until"], seconds=float(row["took"])
        )
    return {row["queue"]: float(row["seconds"]) for row in found if row["seconds"] is not None}


_DUE = "SELECT json_agg(found) FROM taskyard_due_1(%s, %s, %s) AS found"


def _due_on_sqlite(names: Sequence[str]) -> dict[str, float]:
    values = ", ".join(["(%s)"] * len(names))
    found = database.rows(
        f"""
        WITH known(queue) AS (VALUES {values}),
        first AS (
            SELECT queue, (
                SELECT due_at FROM routing_outbox WHERE queue = known.queue ORDER BY due_at LIMIT 1
            ) AS due_at FROM known
        )
        SELECT queue, (julianday(due_at) - julianday('now')) * 86400.0 AS seconds FROM first WHERE due_at IS NOT NULL
        """,
        names,
    )
    return {row["queue"]: float(row["seconds"]) for row in found}


def queues() -> list[str]:
    """Every queue that something waits for, declared or not: one step over the index for each."""
    found = database.rows(
        """
        WITH RECURSIVE waiting(queue) AS (
            SELECT MIN(queue) FROM routing_outbox
            UNION ALL
            SELECT (SELECT MIN(queue) FROM routing_outbox WHERE queue > waiting.queue) FROM waiting
            WHERE waiting.queue IS NOT NULL
        )
        SELECT queue FROM waiting WHERE queue IS NOT NULL
        """
    )
    return [row["queue"] for row in found]


@contextmanager
def batch(queue: str, *, limit: int, max_bytes: int, floors: Floors | None = None) -> Iterator[Batch]:
    """Take what is due, and give it up as published when the block ends; after an exception all of it is due as before.

    At most ``limit``, and bodies and headers of ``max_bytes`` together, but at least one. Raises Overtaken when the
    block ends, if the broker was found to have lost messages meanwhile.
    """
    if database.on_postgresql():
        with database.atomic():
            yield from _batch_on_postgresql(queue, floors.since(queue) if floors else None, limit, max_bytes)
    else:
        yield from _batch_on_sqlite(queue, limit, max_bytes)
    faults.point("relay.committed")


def _batch_on_postgresql(queue: str, since: str | None, limit: int, max_bytes: int) -> Iterator[Batch]:
    parameters = [queue, since, limit, max_bytes]
    opened = functions.ask(_TAKING, parameters)
    if opened is None:
        marker.current()
        opened = functions.ask(_TAKING, parameters)
    taken = _batch(queue, limit, opened["due"] or [])
    faults.point("relay.taken")
    yield taken
    faults.point("relay.confirmed")
    if taken:
        _put_back(taken)
        # A broker that lost its disk after it confirmed: whoever records that loss either sees our rows gone, and
        # publishes their messages again, or has us fail here.
        marker.hold(opened["losses"])


# A relay that stands still, or whose machine is gone, gives its rows back; and what a crash of the database makes it
# forget is published again, in the same epoch.
_SETTINGS = f"""
    set_config('idle_in_transaction_session_timeout', '{ABANDONED_AFTER}s', true),
    set_config('synchronous_commit', 'off', true)
"""
# The count of losses is that of the statement's beginning, and so no newer than what is taken.
_TAKING = f"""
    SELECT json_build_object(
        'losses', losses,
        'settings', json_build_array({_SETTINGS}),
        'due', (SELECT json_agg(taken) FROM taskyard_take_1(%s, %s, %s, %s) AS taken)
    ) FROM routing_brokermarker WHERE id = 1
"""


def _batch_on_sqlite(queue: str, limit: int, max_bytes: int) -> Iterator[Batch]:
    losses = marker.current().losses
    taken = _batch(queue, limit, database.rows(_READING_ON_SQLITE, [queue, limit, max_bytes]))
    faults.point("relay.taken")
    yield taken
    faults.point("relay.confirmed")
    if taken:
        with database.atomic():
            marker.hold(losses)
            _put_back(taken)
            _delete(row for row in taken.seen if row["id"] not in taken.refused)


_READING_ON_SQLITE = """
    WITH due AS MATERIALIZED (
        SELECT id, message_id, epoch, failures, due_at FROM routing_outbox
        WHERE queue = %s AND due_at <= strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now') ORDER BY due_at, id LIMIT %s
    ), sized AS (
        SELECT due.*, SUM(coalesce(length(m.headers) + length(m.body), 0)) OVER (ORDER BY due.due_at, due.id) AS total,
            ROW_NUMBER() OVER (ORDER BY due.due_at, due.id) AS position
        FROM due LEFT JOIN routing_message AS m ON m.id = due.message_id AND m.epoch = due.epoch
    ), fitting AS (
        SELECT * FROM sized WHERE total <= %s OR position = 1
    )
    SELECT f.id, f.message_id, f.epoch, f.failures, m.attempt, m.headers, m.properties, m.body,
        (SELECT count(*) FROM due) AS due
    FROM fitting AS f LEFT JOIN routing_message AS m ON m.id = f.message_id AND m.epoch = f.epoch
    ORDER BY f.position
"""


def _batch(queue: str, limit: int, seen: list[database.Row]) -> Batch:
    due = max((row.pop("due") for row in seen), default=0)
    # No message of this epoch: it has ended, was cancelled, or will be published under a newer one.
    wanted = [row for row in seen if row["body"] is not None]
    return Batch(queue, [Publication(queue=queue, **row) for row in wanted], seen, due == limit or due > len(seen))


def _put_back(taken: Batch) -> None:
    for row in taken.seen:
        if row["id"] in taken.refused:
            put_back(row, queue=taken.queue, reason=taken.refused[row["id"]])


def put_back(row: Mapping[str, object], *, queue: str, reason: str) -> None:
    """To be tried again, after a pause that doubles with each failure."""
    failures = int(str(row["failures"]))
    pause = min(FIRST_PAUSE * 2 ** min(failures, 10), LONGEST_PAUSE)
    values = [failures + 1, reason, pause]
    if database.on_postgresql():
        database.execute(
            "INSERT INTO routing_outbox (failures, reason, due_at, message_id, epoch, queue) "
            f"VALUES (%s, %s, {database.later_sql()}, %s, %s, %s)",
            [*values, row["message_id"], row["epoch"], queue],
        )
    else:
        database.execute(
            f"UPDATE routing_outbox SET failures = %s, reason = %s, due_at = {database.later_sql()} WHERE id = %s",
            [*values, row["id"]],
        )


def _delete(rows: Iterable[database.Row]) -> None:
    with database.connection().cursor() as cursor:
        cursor.executemany(
            "DELETE FROM routing_outbox WHERE id = %s AND epoch = %s", [(row["id"], row["epoch"]) for row in rows]
        )
