"""A limit to the time that the database may take for a page."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import OperationalError

from routing.ledger import database

STEPS = 10_000
"""Of SQLite's machine, between two looks at the clock: less than a millisecond."""


class TookTooLong(Exception):
    """The database was made to stop."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TookTooLong from the statement that is at work when the time is up."""
    limited = _on_postgresql(seconds) if database.on_postgresql() else _on_sqlite(seconds)
    with limited:
        yield


@contextmanager
def _on_postgresql(seconds: float) -> Iterator[None]:
    """For each statement. In a transaction, so that it ends with it, also behind a pooler."""
    try:
        with database.atomic():
            before = _set(f"{seconds * 1000:.0f}")
            yield
            # Where this is part of another transaction, that goes on.
            _set(before)
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise TookTooLong from error
        raise


def _set(timeout: str) -> str:
    """Until the transaction ends; what it was."""
    (row,) = database.rows(
        "SELECT current_setting('statement_timeout') AS before, set_config('statement_timeout', %s, true)", [timeout]
    )
    return str(row["before"])


@contextmanager
def _on_sqlite(seconds: float) -> Iterator[None]:
    database.connection().ensure_connection()
    sqlite = database.connection().connection
    deadline = time.monotonic() + seconds
    sqlite.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
    try:
        yield
    except OperationalError as error:
        if str(error) == "interrupted":
            raise TookTooLong from error
        raise
    finally:
        sqlite.set_progress_handler(None, 0)
