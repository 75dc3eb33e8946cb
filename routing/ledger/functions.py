"""The ledger's functions in PostgreSQL (postgresql/functions_1.sql), called by the shortest way there is.

A worker calls two of them for each task. Django's cursor and psycopg's take several times as long as PostgreSQL does to
answer, so this goes to libpq, wherever nobody watches the statements and no transaction is still to be begun.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors, pq
from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait

from routing.ledger import database

_T = TypeVar("_T")
_BOOLEAN, _INTEGER = 16, 23
CANCELLED_WITHIN = 5.0
"""Seconds."""


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


@contextmanager
def meanwhile(function: str, parameters: Sequence[Any]) -> Iterator[None]:
    """Call it while the block runs, and wait for its end. What the block asks the database itself is asked after it."""
    wrapper = database.connection()
    if not _is_direct(wrapper):
        call(function, parameters)
        yield
        return
    under_way = _UnderWay(wrapper, _statement(function, len(parameters), None, False, "$"), parameters)
    try:
        with wrapper.execute_wrapper(under_way.before):
            yield
    except BaseException:
        with suppress(DatabaseError):  # the block's own error is the one to be told of
            under_way.end()
        raise
    under_way.end()


class _UnderWay:
    """A statement that is sent, and whose answer is still to be read."""

    def __init__(self, wrapper: BaseDatabaseWrapper, statement: str, values: Sequence[Any]) -> None:
        self._wrapper = wrapper
        self._connection: psycopg.Connection[Any] = wrapper.connection
        self._is_read = False
        with wrapper.wrap_database_errors:
            _begin(wrapper)
            _send(self._connection, statement, values)

    def before(self, execute: Callable[..., Any], *statement: Any) -> Any:
        """Django's hook for a statement that is to be executed."""
        self.end()
        return execute(*statement)

    def end(self) -> None:
        if self._is_read:
            return
        self._is_read = True
        pgconn = self._connection.pgconn
        with self._wrapper.wrap_database_errors:
            found = _waited(self._connection, _received(pgconn))
            _require(pgconn, found, pq.ExecStatus.TUPLES_OK)


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
        _begin(wrapper)
        return _value(_require(pgconn, _executed(wrapper.connection, statement("$"), values), pq.ExecStatus.TUPLES_OK))


def _require(pgconn: "pq.abc.PGconn", found: "pq.abc.PGresult", status: pq.ExecStatus) -> "pq.abc.PGresult":
    if found.status != status:
        raise _error(pgconn, found)
    return found


def _begin(wrapper: BaseDatabaseWrapper) -> None:
    """Where Django is in a transaction and leaves it to the first statement to begin it."""
    pgconn: pq.abc.PGconn = wrapper.connection.pgconn
    if wrapper.in_atomic_block and pgconn.transaction_status == pq.TransactionStatus.IDLE:
        _require(pgconn, pgconn.exec_(b"BEGIN"), pq.ExecStatus.COMMAND_OK)


def _executed(connection: psycopg.Connection[Any], statement: str, values: Sequence[Any]) -> "pq.abc.PGresult":
    pgconn: pq.abc.PGconn = connection.pgconn
    texts, name = _texts(values), _name(connection, statement)
    return pgconn.exec_params(statement.encode(), texts) if name is None else pgconn.exec_prepared(name, texts)


def _send(connection: psycopg.Connection[Any], statement: str, values: Sequence[Any]) -> None:
    """The same, without its answer."""
    pgconn: pq.abc.PGconn = connection.pgconn
    texts, name = _texts(values), _name(connection, statement)
    if name is None:
        pgconn.send_query_params(statement.encode(), texts)
    else:
        pgconn.send_query_prepared(name, texts)
    _waited(connection, _flushed(pgconn))


def _waited(connection: psycopg.Connection[Any], step: PQGen[_T]) -> _T:
    """What interrupts it, such as the soft time limit, ends the session: the next statement would get this answer."""
    try:
        return connection.wait(step)
    except psycopg.Error:
        raise
    except BaseException:
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=CANCELLED_WITHIN)
        connection.close()
        raise


def _flushed(pgconn: "pq.abc.PGconn") -> PQGen[None]:
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()


def _received(pgconn: "pq.abc.PGconn") -> PQGen["pq.abc.PGresult"]:
    """Without keeping Python's lock until it is there, as libpq would."""
    found = None
    while True:
        while pgconn.is_busy():
            if (yield Wait.R):
                pgconn.consume_input()
        one = pgconn.get_result()
        if one is None:
            # The server is ready for the next statement.
            assert found is not None  # noqa: S101  (a statement was sent)
            return found
        found = one


def _name(connection: psycopg.Connection[Any], statement: str) -> bytes | None:
    """Prepared once in a session: to read and plan such a call takes a third of the server's time for it.

    None where there is no session. Raises psycopg.Error.
    """
    pgconn: pq.abc.PGconn = connection.pgconn
    names = _prepared.get(connection)
    if names is None:
        names = _prepared[connection] = {} if _has_session(pgconn) else _UNPREPARED
    if names is _UNPREPARED:
        return None
    name = names.get(statement)
    if name is None:
        name = f"taskyard_{len(names) + 1}".encode()
        _require(pgconn, pgconn.prepare(name, statement.encode()), pq.ExecStatus.COMMAND_OK)
        names[statement] = name
    return name


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


def _texts(values: Sequence[Any]) -> Any:
    # NULL is None, of which psycopg's hints for one of the two calls know nothing.
    return [_text(one) for one in values]


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
