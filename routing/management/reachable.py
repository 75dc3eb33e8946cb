"""A database that cannot be used ends a command with one sentence and its cure."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError, ProgrammingError

from routing.ledger import encryption

NOTHING_IS_LOST = "What was done stays done; the same command goes on with the rest."


@contextmanager
def database(*, also: str = "") -> Iterator[None]:
    """Raises CommandError in place of the database's errors. ``also``: what else somebody ought to know then."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        raise CommandError(f"The database cannot be used: {first_line(error)}. {_cure(error)} {also}".strip()) from None


def first_line(error: Exception) -> str:
    """What the driver says, without the lines of advice that it adds."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _cure(error: Exception) -> str:
    if isinstance(error, ProgrammingError) or "no such table" in str(error):
        return "Run manage.py migrate first."
    if found := encryption.cure(error):
        return found
    return "Start it, or correct DATABASE_URL."
