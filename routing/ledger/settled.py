"""Settled: up to which key the table of results is complete, so that nothing below it can still be committed.

Keys are given out when rows are inserted, and seen when their transactions commit: in another order, and some never.
Whoever goes through the table by its keys, once, may only go as far as a fence that is firm.

PostgreSQL: a transaction that inserts holds the table's ROW EXCLUSIVE lock before it is given a key, and until it ends.
Once all that held it just after the highest key was read have ended, each key up to that one is committed or never will
be. Nobody is made to wait for that. SQLite: there is one writer at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from routing.ledger import database

TABLE = "django_celery_results_taskresult"


@dataclass(frozen=True)
class Fence:
    """Firm once none of the ``writers`` is at work any more: then all results recorded by ``at`` are below ``key``."""

    key: int
    at: datetime
    writers: frozenset[str]

    def as_json(self) -> dict[str, Any]:
        return {"key": self.key, "at": self.at.isoformat(), "writers": sorted(self.writers)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Fence":
        return cls(stored["key"], datetime.fromisoformat(stored["at"]), frozenset(stored["writers"]))


def take() -> Fence:
    """On SQLite within a transaction that writes: whoever else writes has then committed."""
    # In this order: what is recorded by then has its key by now, and its writer, unless it has ended, its lock.
    at = database.now()
    key = _highest_key()
    return Fence(key, at, _writers())


def is_firm(fence: Fence) -> bool:
    return not fence.writers or fence.writers.isdisjoint(_writers())


def _highest_key() -> int:
    """Given out, not committed."""
    if database.on_postgresql():
        (row,) = database.rows("SELECT pg_get_serial_sequence(%s, 'id') AS name", [TABLE])
        (found,) = database.rows(f"SELECT last_value AS key FROM {row['name']}")
    else:
        (found,) = database.rows(f"SELECT coalesce(max(id), 0) AS key FROM {TABLE}")
    return int(found["key"])


def _writers() -> frozenset[str]:
    """The transactions that may have inserted into the table, also prepared ones; one sees its own rows."""
    if not database.on_postgresql():
        return frozenset()
    found = database.rows(
        """
        SELECT virtualtransaction AS id FROM pg_locks
        WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND relation = %s::regclass AND mode = 'RowExclusiveLock' AND granted
            AND pid IS DISTINCT FROM pg_backend_pid()
        """,
        [TABLE],
    )
    return frozenset(row["id"] for row in found)
