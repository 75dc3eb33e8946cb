"""Calls of the ledger's functions: PostgreSQL reads and plans them once in a session."""

import uuid
from typing import Any

import pytest
from django.db import connection, transaction

from routing.ledger import database, functions
from tests.services import DATABASE

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
