"""What passes by itself and is waited for, told from what would fail again; with errors of real databases."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from routing.ledger.patience import is_passing, until_reachable
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="a trouble of PostgreSQL's")
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="a trouble of SQLite's")
ADD = "INSERT INTO auth_group (name) VALUES ('new')"


@pytest.fixture
def own() -> Iterator[BaseDatabaseWrapper]:
    """A connection that the test may break."""
    with closing(connection.copy()) as own:
        yield own


def execute(sql: str, *values: Any, over: Any = connection) -> Any:
    with over.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchone() if cursor.description else None


def backend(of: BaseDatabaseWrapper) -> int:
    return int(execute("SELECT pg_backend_pid()", over=of)[0])


def is_gone(pid: int) -> bool:
    return execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid) is None


def is_told_to_end(own: BaseDatabaseWrapper) -> None:
    pid = backend(own)
    execute("SELECT pg_terminate_backend(%s)", pid)
    until(lambda: is_gone(pid), what="the backend's end")
    execute("SELECT 1", over=own)


def stands_still_in_a_transaction(own: BaseDatabaseWrapper) -> None:
    pid = backend(own)
    execute("SET idle_in_transaction_session_timeout = '10ms'", over=own)
    own.set_autocommit(False)
    execute("SELECT 1", over=own)
    until(lambda: is_gone(pid), what="the backend's end")
    execute("SELECT 1", over=own)


def is_read_only(own: BaseDatabaseWrapper) -> None:
    execute("SET default_transaction_read_only = on", over=own)
    execute(ADD, over=own)


def cannot_be_reached(own: BaseDatabaseWrapper) -> None:
    own.settings_dict = {**own.settings_dict, "PORT": "1"}
    execute("SELECT 1", over=own)


def has_lost_its_connection(own: BaseDatabaseWrapper) -> None:
    own.ensure_connection()
    own.connection.close()
    execute("SELECT 1", over=own)


def cannot_serialise(own: BaseDatabaseWrapper) -> None:
    Group.objects.create(name="old")
    execute("SET default_transaction_isolation = 'repeatable read'", over=own)
    own.set_autocommit(False)
    execute("SELECT * FROM auth_group", over=own)
    execute("UPDATE auth_group SET name = 'changed'")
    execute("UPDATE auth_group SET name = 'changed again'", over=own)


def is_in_a_deadlock(own: BaseDatabaseWrapper) -> None:
    for name in ("one", "two"):
        Group.objects.create(name=name)
    execute("SET deadlock_timeout = '10ms'", over=own)
    own.set_autocommit(False)
    execute("UPDATE auth_group SET name = name WHERE name = 'one'", over=own)
    other = threading.Thread(target=_lock_the_other_way_round)
    other.start()
    until(lambda: execute("SELECT count(*) FROM pg_locks WHERE NOT granted")[0], what="the other to wait")
    try:
        execute("UPDATE auth_group SET name = name WHERE name = 'two'", over=own)
    finally:
        own.close()
        other.join()


def _lock_the_other_way_round() -> None:
    try:
        with transaction.atomic():
            # It waits patiently: whoever looks for the deadlock first has to give way.
            execute("SET LOCAL deadlock_timeout = '60s'")
            execute("UPDATE auth_group SET name = name WHERE name = 'two'")
            execute("UPDATE auth_group SET name = name WHERE name = 'one'")
    finally:
        connection.close()


@on_postgresql
@pytest.mark.parametrize(
    "trouble",
    [
        is_told_to_end,
        stands_still_in_a_transaction,
        is_read_only,
        cannot_be_reached,
        has_lost_its_connection,
        cannot_serialise,
        is_in_a_deadlock,
    ],
)
def test_a_trouble_of_postgresqls_own_passes(own: BaseDatabaseWrapper, trouble: Callable[[Any], None]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (their classes differ: that is the point)
        trouble(own)

    assert is_passing(caught.value), repr(caught.value)


@on_postgresql
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM nowhere",
        "SELEKT 1",
        "SELECT 1/0",
        "SELECT 'x'::int",
        "INSERT INTO auth_group (id, name) VALUES (1, 'a'), (1, 'b')",
        "SET LOCAL statement_timeout = '1ms'; SELECT pg_sleep(20)",
        "SELECT '\0'",
    ],
)
def test_what_postgresql_was_asked_to_do_does_not_pass(sql: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        execute(sql)

    assert not is_passing(caught.value), repr(caught.value)


def is_locked_by_a_writer(own: BaseDatabaseWrapper) -> None:
    execute("PRAGMA busy_timeout = 0", over=own)
    with transaction.atomic():
        execute(ADD)
        execute(ADD.replace("new", "newer"), over=own)


def is_locked_by_its_own_reader(own: BaseDatabaseWrapper) -> None:
    execute("CREATE TEMP TABLE one AS VALUES (1), (2)", over=own)
    with own.cursor() as reader:
        reader.execute("SELECT * FROM one")
        reader.fetchmany(1)
        execute("DROP TABLE one", over=own)


def is_full(own: BaseDatabaseWrapper) -> None:
    execute("PRAGMA max_page_count = 1", over=own)
    while True:
        execute("INSERT INTO auth_group (name) SELECT hex(randomblob(70)) FROM auth_permission", over=own)


def is_nowhere(own: BaseDatabaseWrapper) -> None:
    own.settings_dict = {**own.settings_dict, "NAME": "/nowhere/to/be/found"}
    execute("SELECT 1", over=own)


def may_only_be_read(own: BaseDatabaseWrapper) -> None:
    execute("PRAGMA query_only = on", over=own)
    execute(ADD, over=own)


@on_sqlite
@pytest.mark.parametrize(
    "trouble", [is_locked_by_a_writer, is_locked_by_its_own_reader, is_full, is_nowhere, may_only_be_read]
)
def test_a_trouble_of_sqlites_own_passes(own: BaseDatabaseWrapper, trouble: Callable[[Any], None]) -> None:
    with pytest.raises(DatabaseError) as caught:
        trouble(own)

    assert is_passing(caught.value), repr(caught.value)


@on_sqlite
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM nowhere",
        "SELECT nothing FROM auth_group",
        "SELEKT 1",
        "INSERT INTO auth_group (id, name) VALUES (1, 'a'), (1, 'b')",
        "SELECT abs(-9223372036854775808)",
    ],
)
def test_what_sqlite_was_asked_to_do_does_not_pass(sql: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        execute(sql)

    assert not is_passing(caught.value), repr(caught.value)


@on_postgresql
@pytest.mark.parametrize(
    "break_it",
    ["SET default_transaction_read_only = on", "SELECT pg_terminate_backend(pg_backend_pid())"],
)
def test_a_write_is_called_again_over_a_new_connection(break_it: str) -> None:
    calls = []

    def write() -> None:
        calls.append(1)
        if len(calls) == 1:
            execute(break_it)
        execute(ADD)

    until_reachable(write)

    assert len(calls) == 2
    assert Group.objects.count() == 1


@on_postgresql
def test_within_a_transaction_a_write_is_called_once() -> None:
    calls = []

    def write() -> None:
        calls.append(1)
        execute("SET TRANSACTION READ ONLY")
        execute(ADD)

    with pytest.raises(DatabaseError), transaction.atomic():
        until_reachable(write)

    assert len(calls) == 1


def test_a_write_that_asks_for_the_impossible_is_called_once() -> None:
    calls = []

    def write() -> None:
        calls.append(1)
        execute("SELECT * FROM nowhere")

    with pytest.raises(DatabaseError, match="nowhere"):
        until_reachable(write)

    assert len(calls) == 1


def test_patience_has_an_end() -> None:
    calls: list[int] = []
    to_read_only = (
        "SET default_transaction_read_only = on" if connection.vendor == "postgresql" else "PRAGMA query_only = on"
    )

    def write() -> None:
        calls.append(1)
        execute(to_read_only)
        execute(ADD)

    with pytest.raises(DatabaseError) as caught:
        until_reachable(write, seconds=0.2)
    connection.close()

    assert is_passing(caught.value)
    assert len(calls) == 2
