"""The whole project, running."""

from collections.abc import Iterator

import psycopg
import pytest

from project.services import rabbitmq
from tests import services
from tests.pipeline.running import CTRL_C, RunningProject


@pytest.fixture(scope="module")
def own_database_url(database_server: services.Postgresql | None) -> str | None:
    """A new database on the suite's PostgreSQL; None where ``make up`` shall use its own SQLite."""
    if database_server is None:
        return None
    server = f"postgresql://taskyard@127.0.0.1:{database_server.port}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS up")
        connection.execute("CREATE DATABASE up")
    return f"{server}/up"


@pytest.fixture(scope="module")
def running_project(tmp_path_factory: pytest.TempPathFactory, own_database_url: str | None) -> Iterator[RunningProject]:
    """A first start with ``make up``, ready and with its samples shown; in the end Ctrl-C, and nothing is left."""
    if services.PRIVATE_BROKER and not rabbitmq.is_installed():
        services.missing("RabbitMQ is not installed. Debian: apt-get install rabbitmq-server")
    project = RunningProject(tmp_path_factory.mktemp("up"), database_url=own_database_url)
    project.until_says("ready after")
    project.until_says("The report of this week so far")

    yield project

    project.press(CTRL_C)
    assert project.wait() == 0, project.output
    assert project.output.rstrip().endswith("Everything is stopped.")
    assert project.pids() == []
