"""Empties the database after a test that commits: of what the test has left, and of no more."""

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

KEPT = {model._meta.db_table for model in (ContentType, Permission)}
"""What ``migrate`` writes, and no test changes."""


def empty(case: TransactionTestCase) -> None:
    """As Django does it, which truncates every table, most of them empty, and then writes again what it has deleted."""
    for name in case._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
        connection = connections[name]
        if used := _used(connection):
            statements = connection.ops.sql_flush(no_style(), used, allow_cascade=True)
            connection.ops.execute_sql_flush(statements)


def _used(connection: BaseDatabaseWrapper) -> list[str]:
    """The tables that hold something."""
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT
    each = (f"SELECT '{one}' WHERE EXISTS (SELECT 1 FROM {connection.ops.quote_name(one)})" for one in sorted(tables))  # noqa: S608  (no input)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(each))
        return [row[0] for row in cursor.fetchall()]
