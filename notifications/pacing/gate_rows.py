"""The gates' rows as one look finds them."""

from collections.abc import Sequence
from dataclasses import dataclass

from routing.ledger import database


@dataclass(frozen=True)
class Seen:
    """How a gate stands, by the database's clock."""

    name: str
    ahead: float = 0.0
    """Seconds until the next may pass at an even pace."""
    failures: int = 0
    is_open: bool = False
    """Its circuit: the host is down."""
    probe_in: float = 0.0
    is_probing: bool = False
    probes: int = 0
    error: str = ""


def look(names: Sequence[str]) -> dict[str, Seen]:
    """Those that are there."""
    places = ", ".join(["%s"] * len(names))
    found = database.rows(
        f"""
        SELECT name, next_at - {seconds_sql()} AS ahead, failures, opened_at IS NOT NULL AS is_open,
            probe_at - {seconds_sql()} AS probe_in, is_probing, probes, error
        FROM notifications_gate WHERE name IN ({places})
        """,
        names,
    )
    return {row["name"]: Seen(**row) for row in found}


def ensure(names: Sequence[str]) -> None:
    """Have a row for each. Safe to call again, and for several at once."""
    values = ", ".join(["(%s, 0, 0, 0, FALSE, 0, '')"] * len(names))
    database.execute(
        f"""
        INSERT INTO notifications_gate (name, next_at, failures, probe_at, is_probing, probes, error)
        VALUES {values} ON CONFLICT (name) DO NOTHING
        """,
        sorted(names),
    )


def now() -> float:
    """The database's clock."""
    (row,) = database.rows(f"SELECT {seconds_sql()} AS now")
    return float(row["now"])


def seconds_sql() -> str:
    """The database's clock in seconds since 1970."""
    if database.on_postgresql():
        return "extract(epoch FROM clock_timestamp())::double precision"
    return "((julianday('now') - 2440587.5) * 86400.0)"


def relaxed_sql() -> str:
    """For RETURNING: this commit need not wait for the disk. A crash of the database gives back a few tokens."""
    if not database.on_postgresql() or database.connection().in_atomic_block:
        return ""
    return ", set_config('synchronous_commit', 'off', true)"
