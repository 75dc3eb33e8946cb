"""The ledger's functions in PostgreSQL (postgresql/functions_1.sql), called by the shortest way there is.

A worker calls two of them for each task. Django's cursor and psycopg's take several times as long as PostgreSQL does to
answer, so this goes to libpq, wherever nobody watches the statements and no transaction is still to be begun.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

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
    count = len(parameters)
    follows = (then[0], len(then[1])) if then else None
    values = [*parameters, *then[1]] if then else parameters
    return _answer(lambda mark: _statement(function, count, follows, relaxed, mark), values)


def ask(statement: str, parameters: Sequence[Any] = ()) -> Any:
    """The one value that this answers, as ``call``; None where there is no row. Parameters are marked by ``%s``."""
    return _answer(lambda mark: statement if mark == "%s" else _numbered(statement), parameters)


def array(values: Sequence[str | None]) -> str:
    """A parameter that is an array."""
    return f"{{{','.join('NULL' if one is None else _quoted(one) for one in values)}}}"


def _quoted(element: str) -> str:
    escaped = element.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _answer(statement: Callable[[str], str], values: Sequence[Any]) -> Any:
    wrapper = database.connection()
    if not _is_direct(wrapper):
        with wrapper.cursor() as cursor:
            cursor.execute(statement("%s"), values)
            found = cursor.fetchall()
            return found[0][0] if found else None
    with wrapper.wrap_database_errors:
        pgconn: pq.abc.PGconn = wrapper.connection.pgconn
        if wrapper.in_atomic_block and pgconn.transaction_status == pq.TransactionStatus.IDLE:
            _require(pgconn, pgconn.exec_(b"BEGIN"), pq.ExecStatus.COMMAND_OK)
        return _value(_require(pgconn, _executed(wrapper.connection, statement("$"), values), pq.ExecStatus.TUPLES_OK))


def _require(pgconn: "pq.abc.PGconn", found: "pq.abc.PGresult", status: pq.ExecStatus) -> "pq.abc.PGresult":
    if found.status != status:
        raise _error(pgconn, found)
    return found


def _executed(connection: psycopg.Connection[Any], statement: str, values: Sequence[Any]) -> "pq.abc.PGresult":
    """Prepared once in a session: to read and plan such a call takes a third of the server's time for it."""
    pgconn: pq.abc.PGconn = connection.pgconn
    # NULL is None, of which psycopg's hints for one of the two calls know nothing.
    texts: Any = [_text(one) for one in values]
    names = _prepared.get(connection)
    if names is None:
        names = _prepared[connection] = {} if _has_session(pgconn) else _UNPREPARED
    if names is _UNPREPARED:
        return pgconn.exec_params(statement.encode(), texts)
    name = names.get(statement)
    if name is None:
        name = f"taskyard_{len(names) + 1}".encode()
        made = pgconn.prepare(name, statement.encode())
        if made.status != pq.ExecStatus.COMMAND_OK:
            return made
        names[statement] = name
    return pgconn.exec_prepared(name, texts)


_UNPREPARED: dict[str, bytes] = {}
_prepared: WeakKeyDictionary[psycopg.Connection[Any], dict[str, bytes]] = WeakKeyDictionary()
"""The statements that each connection's session knows by name."""


def _has_session(pgconn: "pq.abc.PGconn") -> bool:
    """Whether the next statement goes to the same session: behind a pooler, who answers has another number."""
    answer = pgconn.exec_(b"SELECT pg_backend_pid()")
    return answer.status == pq.ExecStatus.TUPLES_OK and answer.get_value(0, 0) == str(pgconn.backend_pid).encode()


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


@cache
def _numbered(statement: str) -> str:
    first, *rest = statement.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


def _is_direct(wrapper: BaseDatabaseWrapper) -> bool:
    """Whether Django and psycopg would add nothing: no log, no connection to be made, no BEGIN of a special kind."""
    if wrapper.connection is None or wrapper.needs_rollback or wrapper.queries_logged or wrapper.execute_wrappers:
        return False
    status = wrapper.connection.pgconn.transaction_status
    if status == pq.TransactionStatus.IDLE:
        return not wrapper.in_atomic_block or wrapper.connection.isolation_level is None
    return bool(wrapper.in_atomic_block and status == pq.TransactionStatus.INTRANS)


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
