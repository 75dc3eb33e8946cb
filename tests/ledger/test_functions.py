"""Calls of the ledger's functions: PostgreSQL reads and plans them once in a session."""

import os
import signal
import uuid
from contextlib import nullcontext
from typing import Any

import psycopg
import pytest
from django.db import DataError, OperationalError, connection, transaction

from routing.ledger import database, functions
from tests.services import DATABASE
from tests.waiting import until

pytestmark = [
    pytest.mark.skipif(DATABASE == "sqlite", reason="the functions are PostgreSQL's"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture(autouse=True)
def _anew() -> None:
    """A session that knows no statement yet."""
    connection.close()
    connection.connect()


def claim() -> Any:
    return functions.call("taskyard_claim_1", [str(uuid.uuid4()), 1, 1, 1, 5])


def prepared() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'taskyard_%'")
        (count,) = cursor.fetchone()
    return int(count)


def test_a_session_reads_a_call_once() -> None:
    claim()
    claim()

    assert prepared() == 1


def test_a_new_session_is_told_anew() -> None:
    claim()
    connection.close()
    connection.connect()

    assert claim() is None
    assert prepared() == 1


def test_what_was_made_known_in_a_transaction_that_was_rolled_back_stays_known() -> None:
    with database.atomic():
        claim()
        transaction.set_rollback(True, using=database.using())

    assert claim() is None
    assert prepared() == 1


def test_the_first_call_of_a_transaction_begins_it_and_goes_back_with_it() -> None:
    with database.atomic():
        made = functions.ask(
            "INSERT INTO routing_brokermarker (id, marker, losses) VALUES (1, %s, 7) RETURNING losses", ["m"]
        )
        assert made == 7
        transaction.set_rollback(True, using=database.using())

    assert functions.ask("SELECT losses FROM routing_brokermarker WHERE id = 1") is None


@pytest.mark.parametrize("watched", [False, True])
def test_an_array_comes_over_as_it_is_and_no_row_is_none(watched: bool) -> None:
    odd = ["plain", 'a "quoted" one', "back\\slash", "{a,b}", "", None, "NULL", "é"]
    connection.force_debug_cursor = watched
    try:
        found = functions.ask("SELECT to_json(%s::text[])", [functions.array(odd)])
        nothing = functions.ask("SELECT 1 WHERE %s = 'x'", ["y"])
    finally:
        connection.force_debug_cursor = False

    assert found == odd
    assert nothing is None


def other_session() -> psycopg.Connection[Any]:
    settings = connection.get_connection_params()
    names = ("host", "port", "user", "dbname", "password")
    return psycopg.connect(**{name: settings[name] for name in names if name in settings}, autocommit=True)


def test_a_block_runs_while_the_database_works() -> None:
    # Each waits for the other but for that: the statement for this lock, and the block for the end of the statement.
    with other_session() as other:
        other.execute("SELECT pg_advisory_lock(5)")
        with functions.meanwhile("pg_advisory_lock_shared", [5]):
            other.execute("SELECT pg_advisory_unlock(5)")

    assert functions.ask("SELECT 1") == 1


@pytest.mark.parametrize("watched", [False, True])
def test_what_the_block_asks_itself_is_asked_after_it(watched: bool) -> None:
    connection.force_debug_cursor = watched
    try:
        with database.atomic(), functions.meanwhile("set_config", ["taskyard.test", "it was here", "true"]):
            by_cursor = database.rows("SELECT current_setting('taskyard.test') AS found")
            by_call = functions.ask("SELECT to_json(current_setting('taskyard.test'))")
    finally:
        connection.force_debug_cursor = False

    assert by_cursor == [{"found": "it was here"}]
    assert by_call == "it was here"


def test_what_a_block_leaves_open_goes_back_with_its_error() -> None:
    with pytest.raises(KeyError), database.atomic(), functions.meanwhile("pg_notify", ["a", "b"]):
        raise KeyError

    assert functions.ask("SELECT 1") == 1


def test_a_statement_that_fails_is_told_of_when_the_block_ends() -> None:
    reached = False
    with (
        pytest.raises(DataError, match="invalid input syntax"),
        database.atomic(),
        functions.meanwhile("pg_sleep", ["long"]),
    ):
        reached = True

    assert reached
    assert functions.ask("SELECT 1") == 1


def test_a_connection_that_is_lost_while_the_block_runs_is_told_of_when_it_ends() -> None:
    number = functions.ask("SELECT pg_backend_pid()")
    with (
        pytest.raises(OperationalError),
        database.atomic(),
        functions.meanwhile("pg_sleep", ["600"]),
        other_session() as other,
    ):
        other.execute("SELECT pg_terminate_backend(%s)", [number])


class Interrupted(BaseException):
    """As the soft time limit, which comes whenever it comes."""


@pytest.mark.parametrize("is_nested", [False, True])
def test_what_interrupts_the_wait_leaves_no_answer_behind_that_another_would_take_for_its_own(is_nested: bool) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with (
            pytest.raises(Interrupted),
            database.atomic(),
            database.atomic() if is_nested else nullcontext(),
            functions.meanwhile("pg_sleep", ["600"]),
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert functions.ask("SELECT 7") == 7
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep%%' AND state = 'active'"
    until(lambda: database.rows(f"{sleeping} AND pid <> pg_backend_pid()")[0]["count"] == 0, what="its end")


def test_what_interrupts_the_sending_leaves_no_half_of_a_statement_behind() -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    number = functions.ask("SELECT pg_backend_pid()")
    before = signal.signal(signal.SIGALRM, interrupt)

    def send() -> None:
        # So that the transaction is open, and the statement known.
        with functions.meanwhile("set_config", ["taskyard.test", "small", "true"]):
            pass
        os.kill(number, signal.SIGSTOP)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with functions.meanwhile("set_config", ["taskyard.test", "x" * 50_000_000, "true"]):
            raise AssertionError("it cannot have been sent")

    try:
        with pytest.raises(Interrupted), database.atomic():
            send()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.kill(number, signal.SIGCONT)

    assert functions.ask("SELECT 7") == 7


def test_more_than_the_way_to_the_database_holds_is_sent_before_the_block_runs() -> None:
    large = "x" * 20_000_000

    with database.atomic():
        with functions.meanwhile("set_config", ["taskyard.test", large, "true"]):
            pass
        assert functions.ask("SELECT length(current_setting('taskyard.test'))") == len(large)
