"""RabbitMQ and a migrated database, started as the tests start them, but with a disk that is waited for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django
import psycopg

from tests import services as tests

os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
# The tests' is shorter than in life.
del os.environ["TASKYARD_DEAD_AFTER"]


@dataclass(frozen=True, kw_only=True)
class Running:
    """``broker``, and ``database_pid``, whose children do the work: None where there is none of ours."""

    database: str
    broker_url: str
    broker: tests.Broker | None
    database_pid: int | None
    folder: Path

    @property
    def broker_pid(self) -> int | None:
        return self.broker.pid if self.broker else None


@contextmanager
def running() -> Iterator[Running]:
    """Both services, with queues and tables, until the block ends."""
    with _broker() as broker, _database() as database_pid:
        _prepare()
        yield Running(
            database=tests.DATABASE,
            broker_url=os.environ["BROKER_URL"],
            broker=broker,
            database_pid=database_pid,
            folder=tests.FOLDER,
        )
    tests.pytest_unconfigure()


@contextmanager
def _broker() -> Iterator[tests.Broker | None]:
    if not tests.PRIVATE_BROKER:
        yield None
        return
    broker = tests.Broker(tests.NODE)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@contextmanager
def _database() -> Iterator[int | None]:
    if tests.DATABASE != "postgresql":
        yield None
        return
    server = tests.Postgresql(tests.FOLDER, tests.POSTGRESQL_PORT, durable=True)
    try:
        server.create()
        server.start()
        with psycopg.connect(f"postgresql://taskyard@127.0.0.1:{server.port}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE taskyard")
        yield int((server.data / "postmaster.pid").read_text().splitlines()[0])
    finally:
        server.stop()


def _prepare() -> None:
    django.setup()
    from django.core.management import call_command
    from kombu import Connection

    from routing.broker import topology
    from routing.domains import registry

    call_command("migrate", verbosity=0)
    with Connection(os.environ["BROKER_URL"]) as connection:
        topology.create(connection, registry())
