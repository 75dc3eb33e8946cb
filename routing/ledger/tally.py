"""The books: what each domain accepted, finished and pruned, counted apart from the rows that it counts.

Whoever moves a task appends a row in the transaction that moves it, so that counting never makes one wait for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from routing.ledger import database
from routing.ledger.tables import Tally

BATCH = 5_000
"""Rows merged by one transaction."""


@dataclass(frozen=True)
class Books:
    accepted: int = 0
    finished: int = 0
    pruned: int = 0


def pruned(counts: Mapping[str, int]) -> None:
    """Count results that this transaction removes, by domain."""
    rows = [Tally(domain=domain, pruned=count) for domain, count in counts.items()]
    Tally.objects.using(database.using()).bulk_create(rows)


def books() -> dict[str, Books]:
    """Domain → its sums."""
    rows = database.rows(
        "SELECT domain, CAST(SUM(accepted) AS bigint) AS accepted, CAST(SUM(finished) AS bigint) AS finished, "
        "CAST(SUM(pruned) AS bigint) AS pruned FROM routing_tally GROUP BY domain"
    )
    return {row.pop("domain"): Books(**row) for row in rows}


def roll_up(*, batch: int = BATCH, batches: int = 100) -> int:
    """Merge the rows into one a domain, and return by how many there are fewer. Safe with several at once.

    Each batch is a transaction of its own, and the sums are right at every moment in between.
    """
    merge = _merge_on_postgresql if database.on_postgresql() else _merge_on_sqlite
    fewer = 0
    for _ in range(batches):
        if not _worth_it(batch):
            break
        gone, left = merge(batch)
        fewer += gone - left
        if gone < batch:
            break
    return fewer


def _worth_it(batch: int) -> bool:
    """Whether some domain has two of the oldest rows: else merging would only write them anew."""
    (seen,) = database.rows(
        "SELECT COUNT(*) AS total, COUNT(DISTINCT domain) AS domains "
        "FROM (SELECT domain FROM routing_tally ORDER BY id LIMIT %s) AS oldest",
        [batch],
    )
    return bool(seen["total"] > seen["domains"])


def _merge_on_postgresql(batch: int) -> tuple[int, int]:
    """How many rows went, and how many took their place. What another roll-up holds is passed over."""
    (merged,) = database.rows(
        """
        WITH oldest AS MATERIALIZED (
            SELECT id FROM routing_tally ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM routing_tally USING oldest WHERE routing_tally.id = oldest.id
            RETURNING domain, accepted, finished, pruned
        ), sums AS (
            INSERT INTO routing_tally (domain, accepted, finished, pruned)
            SELECT domain, SUM(accepted), SUM(finished), SUM(pruned) FROM gone GROUP BY domain
            RETURNING id
        )
        SELECT (SELECT COUNT(*) FROM gone) AS gone, (SELECT COUNT(*) FROM sums) AS sums
        """,
        [batch],
    )
    return merged["gone"], merged["sums"]


def _merge_on_sqlite(batch: int) -> tuple[int, int]:
    """As on PostgreSQL; the transaction holds the one write lock there is."""
    with database.atomic():
        (oldest,) = database.rows(
            "SELECT MAX(id) AS last FROM (SELECT id FROM routing_tally ORDER BY id LIMIT %s) AS oldest", [batch]
        )
        # Ids only rise, so the sums come to lie behind the last of those that go.
        sums = database.execute(
            "INSERT INTO routing_tally (domain, accepted, finished, pruned) "
            "SELECT domain, SUM(accepted), SUM(finished), SUM(pruned) FROM routing_tally "
            "WHERE id <= %s GROUP BY domain",
            [oldest["last"]],
        )
        gone = database.execute("DELETE FROM routing_tally WHERE id <= %s", [oldest["last"]])
    return gone, sums
