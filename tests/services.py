"""The real services that the tests run against: a private RabbitMQ node and PostgreSQL or SQLite.

A pytest plugin, loaded before Django's settings, because those read the addresses from the environment.

TEST_DATABASE=postgresql|sqlite chooses the database. BROKER_URL names a broker to use in place of a private node.
A service that cannot be had skips its tests on a laptop and fails them where CI is set.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from project.services.errors import ServiceError
from project.services.rabbitmq import Node
from tests.free_ports import free_node_port, free_port
from tests.private_broker import Broker
from tests.private_postgresql import Postgresql

__all__ = ["Broker", "Postgresql", "free_node_port", "free_port"]

DATABASE = os.environ.get("TEST_DATABASE", "sqlite")
FOLDER = Path(tempfile.mkdtemp(prefix="taskyard-tests-"))
PRIVATE_BROKER = "BROKER_URL" not in os.environ

NODE = Node(folder=FOLDER / "rabbitmq", port=free_node_port(), name=f"taskyard-tests-{os.getpid()}")
POSTGRESQL_PORT = free_port()

os.environ["TASKYARD_VAR"] = str(FOLDER / "var")
# Who is killed is declared dead sooner than in life, so that no test waits for it long.
os.environ["TASKYARD_DEAD_AFTER"] = "7"
os.environ["SECRET_KEY"] = "only-for-tests-" + "x" * 50
os.environ.setdefault("BROKER_URL", NODE.url)
os.environ["DATABASE_URL"] = (
    f"postgresql://taskyard@127.0.0.1:{POSTGRESQL_PORT}/taskyard"
    if DATABASE == "postgresql"
    else f"sqlite:///{FOLDER / 'taskyard.sqlite3'}"
)
_traces = [name for name in os.environ if name.startswith("OTEL_")]
for _variable in ("EMAIL_URL", "SITE_URL", "TIME_ZONE", "LOG_FORMAT", "PORT", "DEBUG", *_traces):
    os.environ.pop(_variable, None)


def missing(what: str) -> None:
    """Skip on a laptop, fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def suite_broker() -> Iterator[Broker | None]:
    """The suite's own broker; None where BROKER_URL names another one."""
    if not PRIVATE_BROKER:
        yield None
        return
    broker = Broker(NODE)
    try:
        broker.start()
        _declare(broker)
        yield broker
    except ServiceError as error:
        missing(str(error))
    finally:
        broker.stop()


def _declare(broker: Broker) -> None:
    """All queues, the tests' marker included, before any test may kill the node.

    RabbitMQ 3.10 never again takes a message for a quorum queue that was made within a second before its node died.
    """
    from routing.broker import topology
    from routing.domains import registry

    with Connection(broker.node.url) as connection, connection.channel() as channel:
        topology.create(connection, registry())
        arguments = {"x-queue-type": "quorum", "x-max-length": 1}
        channel.queue_declare(  # type: ignore[attr-defined]
            "taskyard.marker.tests", durable=True, auto_delete=False, arguments=arguments
        )
    # Each takes longer than that second.
    for _ in range(2):
        broker.node.control("list_queues", "name", "--quiet")


@pytest.fixture(scope="session")
def broker_node(suite_broker: Broker | None) -> Node | None:
    """The node itself, to be asked and told through ``rabbitmqctl``."""
    return suite_broker.node if suite_broker else None


@pytest.fixture
def broker(suite_broker: Broker | None) -> Iterator[Broker]:
    """The suite's own broker, which the test may freeze, kill and wipe: it runs again when the test ends."""
    if suite_broker is None:
        pytest.skip("BROKER_URL names a broker that this test must not harm")
    yield suite_broker
    suite_broker.thaw()
    suite_broker.start()


@pytest.fixture(scope="session")
def broker_url(broker_node: Node | None) -> str:
    return os.environ["BROKER_URL"]


@pytest.fixture(scope="session")
def database_server() -> Iterator[Postgresql | None]:
    if DATABASE != "postgresql":
        yield None
        return
    server = Postgresql(FOLDER, POSTGRESQL_PORT)
    try:
        server.create()
        server.start()
        yield server
    except ServiceError as error:
        missing(str(error))
    finally:
        server.stop()


def pytest_report_header() -> str:
    return f"taskyard: {DATABASE}, broker {'of its own' if PRIVATE_BROKER else 'from BROKER_URL'}"


def pytest_unconfigure() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
