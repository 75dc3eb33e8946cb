"""The database the ledger lives in, and what its two dialects say differently.

Everything here goes to the alias that is written: a replica may lag, and a decision on what it tells would be wrong.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.dateparse import parse_datetime
from django.utils.timezone import make_aware

Row = dict[str, Any]


_known: tuple[object, str] | None = None


def using() -> str:
    """The alias that the ledger is written to, and read from."""
    global _known
    routers = router.routers
    if _known is None or _known[0] is not routers:
        # Not at the top: the Celery application is made before Django has its models.
        from routing.ledger.tables import Message

        _known = routers, router.db_for_write(Message)
    return _known[1]


def connection() -> BaseDatabaseWrapper:
    return connections[using()]


def on_postgresql() -> bool:
    return connection().vendor == "postgresql"


def is_usable() -> bool:
    """Whether the connection still answers."""
    return connection().is_usable() if connection().connection is not None else False


def atomic() -> AbstractContextManager[None]:
    return transaction.atomic(using=using())


def now_sql() -> str:
    """The database's clock, as it reads when the row is written: ``now()`` would be the transaction's start."""
    return "clock_timestamp()" if on_postgresql() else "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"


def now() -> datetime:
    """The database's clock."""
    (row,) = rows(f"SELECT {now_sql()} AS now")
    found = moment(row["now"])
    assert found is not None  # noqa: S101  (a clock has a time)
    return found


def later_sql() -> str:
    """The database's clock plus a parameter in seconds."""
    if on_postgresql():
        return "clock_timestamp() + make_interval(secs => %s)"
    return "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %s || ' seconds')"


def rows(sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
    """Execute, and return what it answers, by column name. Times come as the driver has them."""
    with connection().cursor() as cursor:
        cursor.execute(sql, parameters)
        return _named(cursor)


def _named(cursor: Any) -> list[Row]:
    # psycopg makes it anew whenever it is asked for.
    description = cursor.description
    if description is None:
        return []
    names = [column[0] for column in description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def execute(sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Execute, and return how many rows it changed."""
    with connection().cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def execute_many(sql: str, parameters: Sequence[Sequence[Any]]) -> None:
    """Execute once for each."""
    with connection().cursor() as cursor:
        cursor.executemany(sql, parameters)


def set_columns(table: str, kinds: Mapping[str, str], changes: Sequence[Sequence[Any]]) -> None:
    """Set columns of many rows, each by its id, which comes first; on PostgreSQL in one statement.

    ``kinds``: the columns, in order, and PostgreSQL's types of them.
    """
    if not on_postgresql():
        places = ", ".join(f"{name} = %s" for name in kinds)
        execute_many(f"UPDATE {table} SET {places} WHERE id = %s", [(*values, key) for key, *values in changes])
        return
    columns = {"id": "bigint", **kinds}
    rows_of_json = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    execute(
        f"UPDATE {table} SET {', '.join(f'{name} = new.{name}' for name in kinds)} "
        f"FROM json_to_recordset(%s) AS new ({rows_of_json}) WHERE {table}.id = new.id",
        [json.dumps([dict(zip(columns, change, strict=True)) for change in changes], default=datetime.isoformat)],
    )


def hold(name: str) -> None:
    """Until the transaction ends, whoever else asks for this name waits. SQLite lets only one write anyway."""
    if on_postgresql():
        rows("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def moment(value: str | datetime | None) -> datetime | None:
    """A time as ``rows`` returns it. SQLite keeps text, in UTC, and its driver parses what is a column, unchanged."""
    parsed = parse_datetime(value) if isinstance(value, str) else value
    return make_aware(parsed, UTC) if parsed and parsed.tzinfo is None else parsed


def parameter(value: datetime | None) -> Any:
    """A time as a parameter of raw SQL."""
    return connection().ops.adapt_datetimefield_value(value) if value is not None else None
