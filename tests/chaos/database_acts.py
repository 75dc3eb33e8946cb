"""Attacks on the database, which we start again."""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing

import psycopg

from tests.chaos.acts import Act, since, within
from tests.chaos.plan import Decision, Target
from tests.private_postgresql import Postgresql

ABSENCE, LOCKED = (0.0, 4.0), (0.5, 6.0)
"""In seconds."""


class PostgresqlActs:
    def __init__(self, server: Postgresql, url: str) -> None:
        self._server = server
        self._url = url

    def kinds(self) -> Mapping[str, Act]:
        return {"database-kill": self._kill, "database-stop": self._stop, "database-cut": self._cut}

    def _kill(self, target: Target, decision: Decision) -> str:
        began = time.monotonic()
        self._server.kill()
        return self._start(decision, began)

    def _stop(self, target: Target, decision: Decision) -> str:
        began = time.monotonic()
        self._server.stop()
        return self._start(decision, began)

    def _start(self, decision: Decision, began: float) -> str:
        time.sleep(within(ABSENCE, decision.absence))
        self._server.start()
        return f"PostgreSQL, away for {since(began)}"

    def _cut(self, target: Target, decision: Decision) -> str:
        with psycopg.connect(self._url, autocommit=True) as connection:
            cut = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            ).fetchone()
        return f"{cut[0] if cut else 0} connections to PostgreSQL"


class SqliteActs:
    def __init__(self, path: str) -> None:
        self._path = path

    def kinds(self) -> Mapping[str, Act]:
        return {"database-lock": self._lock}

    def _lock(self, target: Target, decision: Decision) -> str:
        """Another program that holds the one write lock."""
        seconds = within(LOCKED, decision.length)
        with closing(sqlite3.connect(self._path, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        return f"SQLite's write lock, held for {seconds:.1f} s"
