"""Whether a pooler, such as PgBouncer, stands between us and PostgreSQL, and what it says of itself.

In its transaction mode each transaction may run in another session of the server. So nothing here relies on a session:
settings are local to their transaction, statements are not prepared, and locks are those of rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper

CONSOLE = "pgbouncer"
"""The database under whose name PgBouncer answers about itself."""
ANSWERS_WITHIN = 3
"""Seconds."""


@dataclass(frozen=True)
class Figures:
    """``mode`` is "transaction", "session" or "statement"."""

    mode: str
    clients: int
    sessions: int


def stands_between(connection: BaseDatabaseWrapper) -> bool:
    """A pooler gives each client a key of its own to cancel with, and so another process id than its server's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return bool(pid != connection.connection.info.backend_pid)


def figures(connection: BaseDatabaseWrapper) -> Figures | None:
    """None where it does not tell this user (``stats_users``), or is another pooler."""
    parameters = connection.get_connection_params()
    known = {name: parameters.get(name) for name in ("host", "port", "user", "password")}
    # As safe as all others: it is sent the password, too.
    known |= {name: value for name, value in parameters.items() if name.startswith("ssl")}
    try:
        with psycopg.connect(
            **{name: value for name, value in known.items() if value},
            dbname=CONSOLE,
            connect_timeout=ANSWERS_WITHIN,
            autocommit=True,
            cursor_factory=psycopg.ClientCursor,
        ) as console:
            config = {row[0]: row[1] for row in console.execute("SHOW CONFIG")}
            cursor = console.execute("SHOW DATABASES")
            names = [column.name for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
    except psycopg.Error:
        return None
    mine: Mapping[str, object] = next((row for row in rows if row["name"] == parameters.get("dbname")), {})
    return Figures(
        mode=str(mine.get("pool_mode") or config["pool_mode"]),
        clients=int(config["max_client_conn"]),
        sessions=int(str(mine.get("pool_size") or config["default_pool_size"])),
    )
