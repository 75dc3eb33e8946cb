"""Everything that is read inside, as it was at one moment, without keeping anybody from writing."""

from collections.abc import Iterator
from contextlib import contextmanager

from routing.ledger import database


@contextmanager
def one_moment() -> Iterator[None]:
    """A read-only transaction of its own; inside an open one, whatever that one sees."""
    connection = database.connection()
    if connection.in_atomic_block:
        yield
    elif database.on_postgresql():
        with database.atomic():
            database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    else:
        # Django's own would take the one write lock there is (IMMEDIATE).
        database.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            database.execute("ROLLBACK")
