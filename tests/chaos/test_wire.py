"""The wire loses answers after the server has done what it was asked."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from tests.chaos.programs import ROOT
from tests.free_ports import free_port
from tests.private_postgresql import Postgresql
from tests.waiting import until

URL = "postgresql://taskyard@127.0.0.1:{}/postgres"


pytestmark = pytest.mark.one_database


@pytest.fixture
def server(database_server: Postgresql | None) -> Postgresql:
    if database_server is None:
        pytest.skip("SQLite has no wire")
    return database_server


@pytest.fixture
def table(server: Postgresql) -> Iterator[psycopg.Connection]:
    """A connection that does not use the wire, and a table."""
    with psycopg.connect(URL.format(server.port), autocommit=True) as connection:
        connection.execute("CREATE TABLE wire (number int)")
        yield connection
        connection.execute("DROP TABLE wire")


def test_a_statement_whose_answer_is_lost_has_taken_effect(server: Postgresql, table: psycopg.Connection) -> None:
    port = free_port()
    wire = subprocess.Popen([sys.executable, "-m", "tests.chaos.wire", str(port), str(server.port), "seed"], cwd=ROOT)
    try:
        with until(lambda: _connection(port), what="the wire") as connection:
            wire.send_signal(signal.SIGUSR1)
            acknowledged = _insert_until_it_fails(connection)
        (rows,) = table.execute("SELECT count(*) FROM wire").fetchone() or (0,)
        assert rows == acknowledged + 1
    finally:
        wire.kill()
        wire.wait()


def _insert_until_it_fails(connection: psycopg.Connection) -> int:
    """How many rows it was told of."""
    for acknowledged in range(10_000):
        try:
            connection.execute("INSERT INTO wire VALUES (1)")
        except psycopg.OperationalError:
            return acknowledged
    raise AssertionError("No answer was lost.")


def _connection(port: int) -> psycopg.Connection | None:
    try:
        return psycopg.connect(URL.format(port), autocommit=True)
    except psycopg.OperationalError:
        return None
