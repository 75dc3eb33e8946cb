"""The database: reachable, migrated, with an admin account."""

import secrets
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from project.services.errors import ServiceError
from routing.ledger import encryption

ADMIN = "admin"


@dataclass(frozen=True)
class Account:
    """``password`` only where the account has just been made: nobody can read it later."""

    name: str
    password: str | None = None


def check() -> None:
    """Raises ServiceError if there is no getting in."""
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        raise ServiceError(_sentence(str(error))) from None


def migrate() -> bool:
    """Bring the tables up to date. False if they were. Raises ServiceError."""
    try:
        executor = MigrationExecutor(connection)
        pending = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if pending:
            call_command("migrate", verbosity=0, interactive=False)
        call_command("createcachetable", verbosity=0)
    except CommandError as error:
        raise ServiceError(str(error)) from None
    except DatabaseError as error:
        raise ServiceError(_sentence(str(error))) from None
    return pending


def admin_account() -> Account:
    """The first superuser; one is made where there is none. Safe to call again."""
    users = get_user_model().objects
    existing = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if existing is not None:
        return Account(existing.get_username())
    password = secrets.token_urlsafe(12)
    users.create_superuser(ADMIN, password=password)
    return Account(ADMIN, password)


def _sentence(words: str) -> str:
    """The server's words, and the cure where we know one."""
    said = words.strip().splitlines()[0].rpartition("FATAL:")[2].strip() or "no reason was given"
    return f"The database cannot be used: {said.rstrip('.')}. {_cure(words)}"


def _cure(words: str) -> str:
    if found := encryption.cure(words):
        return found
    settings = connection.settings_dict
    cures = {
        "password authentication failed": "Correct the user name or password in DATABASE_URL.",
        "no password supplied": "Add the password to DATABASE_URL.",
        "role ": f"Make the user: createuser {settings['USER']}",
        "does not exist": f"Make the database: createdb {settings['NAME']}",
        "permission denied for schema": f"Make {settings['USER']} the owner of the database {settings['NAME']}.",
        "resolve host": "Correct the host in DATABASE_URL.",
        "name or service not known": "Correct the host in DATABASE_URL.",
        "refused": f"Start PostgreSQL at {settings['HOST']}:{settings['PORT'] or 5432}, or correct DATABASE_URL.",
        "timeout": f"See whether {settings['HOST']} is the right host and lets us in, or correct DATABASE_URL.",
        "unable to open database file": "Make its folder and file writable, or correct DATABASE_URL.",
        "readonly": "Make its file writable for this user, or correct DATABASE_URL.",
        "not a database": "DATABASE_URL names a file that is something else; name another.",
        "locked": "Stop the other program that uses this file.",
    }
    return next((cure for sign, cure in cures.items() if sign in words.lower()), "Correct DATABASE_URL.")
