"""The ledger's functions in PostgreSQL (postgresql/functions_1.sql), called by the shortest way there is.

A worker calls two of them for each task. Django's cursor and psycopg's take several times as long as PostgreSQL does to
answer, so this goes to libpq, wherever nobody watches the statements and no transaction is still to be begun.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors, pq

from routing.ledger import database

_BOOLEAN, _INTEGER = 16, 23


def call(
    function: str,
    parameters: Sequence[Any],
    *,
    then: tuple[str, Sequence[Any]] | None = None,
    relaxed: bool = False,
) -> Any:
    """What the function returns: a boolean, an integer, JSON or None.

    ``then``: another call, made if this one returns true. ``relaxed``: commit without waiting for the disk, where this
    is a transaction of its own.
    """
    wrapper = database.connection()
    count = len(parameters)
    follows = (then[0], len(then[1])) if then else None
    values = [*parameters, *then[1]] if then else parameters
    if not _is_direct(wrapper):
        with wrapper.cursor() as cursor:
            cursor.execute(_statement(function, count, follows, relaxed, "%s"), values)
            (row,) = cursor.fetchall()
            return row[0]
    with wrapper.wrap_database_errors:
        pgconn: pq.abc.PGconn = wrapper.connection.pgconn
        found = pgconn.exec_params(
            _statement(function, count, follows, relaxed, "$").encode(), [_text(one) for one in values]
        )
        if found.status != pq.ExecStatus.TUPLES_OK:
            raise _error(pgconn, found)
    return _value(found)


@cache
def _statement(function: str, count: int, follows: tuple[str, int] | None, relaxed: bool, mark: str) -> str:
    places = iter(f"${number}" if mark == "$" else mark for number in range(1, 100))
    first = f"{function}({', '.join(islice(places, count))})"
    if follows:
        second = f"{follows[0]}({', '.join(islice(places, follows[1]))})"
        return (
            f"WITH first AS MATERIALIZED (SELECT {first} AS won) SELECT won, CASE WHEN won THEN {second} END FROM first"
        )
    return f"SELECT {first}, set_config('synchronous_commit', 'off', true)" if relaxed else f"SELECT {first}"


def _is_direct(wrapper: BaseDatabaseWrapper) -> bool:
    """Whether Django and psycopg would add nothing: no log, no connection to be made, no BEGIN to be sent."""
    if wrapper.connection is None or wrapper.needs_rollback or wrapper.queries_logged or wrapper.execute_wrappers:
        return False
    begun = pq.TransactionStatus.INTRANS if wrapper.in_atomic_block else pq.TransactionStatus.IDLE
    return bool(wrapper.connection.pgconn.transaction_status == begun)


def _value(found: "pq.abc.PGresult") -> Any:
    answer = found.get_value(0, 0)
    if answer is None:
        return None
    kind = found.ftype(0)
    if kind == _BOOLEAN:
        return answer == b"t"
    return int(answer) if kind == _INTEGER else json.loads(answer)


def _text(value: Any) -> bytes | None:
    if isinstance(value, str):
        if "\0" in value:
            # libpq would end the text there, and not say so.
            raise psycopg.DataError("PostgreSQL text cannot contain NUL (0x00) bytes")
        return value.encode()
    if value is None:
        return None
    if isinstance(value, bool):
        return b"t" if value else b"f"
    return (value.isoformat() if isinstance(value, datetime) else str(value)).encode()


def _error(pgconn: "pq.abc.PGconn", found: "pq.abc.PGresult") -> psycopg.Error:
    if pgconn.status != pq.ConnStatus.OK:
        # There was nobody left to give a code.
        return psycopg.OperationalError(pgconn.get_error_message())
    return errors.error_from_result(found)
