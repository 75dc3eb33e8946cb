"""The real services that the tests run against: a private RabbitMQ node and PostgreSQL or SQLite.

A pytest plugin, loaded before Django's settings, because those read the addresses from the environment.

TEST_DATABASE=postgresql|sqlite chooses the database. BROKER_URL names a broker to use in place of a private node.
A service that cannot be had skips its tests on a laptop and fails them where CI is set.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu import Connection

from project.services import ports
from project.services.errors import ServiceError
from project.services.rabbitmq import DISTRIBUTION, PORT_MAPPER, Node
from tests.waiting import until

DATABASE = os.environ.get("TEST_DATABASE", "sqlite")
FOLDER = Path(tempfile.mkdtemp(prefix="taskyard-tests-"))
PRIVATE_BROKER = "BROKER_URL" not in os.environ


NODE_PORTS, PORTS = range(10_000, 12_700), range(13_000, 30_000)
"""Apart from each other, and with Erlang's further ports, below those that the system hands out by itself (32768)."""
_kept: list[socket.socket] = []


def free_port(*, below: int = PORTS.stop) -> int:
    """A port nobody listens on, and that no other run of the suite draws while this one lives."""
    return _draw(range(PORTS.start, min(below, PORTS.stop)))


def free_node_port() -> int:
    """The same for a RabbitMQ node, whose further two ports are free as well."""
    return _draw(NODE_PORTS, further=(DISTRIBUTION, PORT_MAPPER))


def _draw(ports: Sequence[int], *, further: tuple[int, ...] = ()) -> int:
    for port in random.sample(ports, len(ports)):
        if _keep([port, *(port + distance for distance in further)]):
            return port
    raise RuntimeError("No free port.")


def _keep(ports: list[int]) -> bool:
    """Take the UDP ports of these numbers, which nobody needs, until we end: a sign to other runs of the suite."""
    signs: list[socket.socket] = []
    try:
        for port in ports:
            signs.append(socket.socket(type=socket.SOCK_DGRAM))
            signs[-1].bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        for sign in signs:
            sign.close()
        return False
    _kept.extend(signs)
    return True


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
for _variable in ("EMAIL_URL", "SITE_URL", "TIME_ZONE", "LOG_FORMAT", "PORT", "DEBUG"):
    os.environ.pop(_variable, None)


def missing(what: str) -> None:
    """Skip on a laptop, fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


class Broker:
    """The suite's own RabbitMQ node, and all that may befall it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once it answers. Safe to call again."""
        if self._process is None or self._process.poll() is not None:
            self._process = self.node.start()
            self.node.wait_until_ready(self._process)

    def stop(self) -> None:
        if self._process is not None:
            self.node.stop(self._process)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self.node.stop_port_mapper()
        # Erlang's helpers have inherited its sockets, and end a moment later.
        until(self._port_is_free, what=f"port {self.node.port} to be given up")

    def _port_is_free(self) -> bool:
        try:
            ports.require(self.node.port, variable="BROKER_PORT")
        except ServiceError:
            return False
        return True

    def wipe(self) -> None:
        """Kill it and take its disk away."""
        self.kill()
        shutil.rmtree(self.node.folder / "data")

    def freeze(self) -> None:
        """Its connections stay open, and nobody answers on them."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Safe to call again."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def _signal(self, number: signal.Signals) -> None:
        # Erlang's helpers have sessions of their own, and none of them is worth a signal.
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)


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


class Postgresql:
    """A private PostgreSQL cluster, run by an unprivileged user, as PostgreSQL insists."""

    def __init__(self, folder: Path, port: int) -> None:
        self.data = folder / "postgresql"
        self.port = port
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def create(self) -> None:
        self.data.mkdir(parents=True)
        if self._as_user:
            self.data.parent.chmod(0o755)
            shutil.chown(self.data, "postgres")
        self._run(
            "initdb", "--auth=trust", "--username=taskyard", "--encoding=UTF8", "--no-sync", f"--pgdata={self.data}"
        )

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        log = f"--log={self.data / 'log'}"
        self._run("pg_ctl", f"--pgdata={self.data}", "--wait", f"--options={options}", log, "start")

    def stop(self) -> None:
        """Stop at once, as a crash would; the next start recovers. Safe to call again."""
        if self._has_ended():
            return
        self._run("pg_ctl", f"--pgdata={self.data}", "--wait", "--mode=immediate", "stop")

    def _has_ended(self) -> bool:
        return not (self.data / "postmaster.pid").exists()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(_postgresql_programs() / program), *arguments]
        with (self.data.parent / f"{program}.log").open("ab") as log:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")


def _postgresql_programs() -> Path:
    """Debian keeps initdb and pg_ctl outside PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    on_path = shutil.which("initdb")
    if on_path is None:
        missing("PostgreSQL is not installed. Debian: apt-get install postgresql-15")
        raise AssertionError
    return Path(on_path).resolve().parent


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
    finally:
        server.stop()


def pytest_report_header() -> str:
    return f"taskyard: {DATABASE}, broker {'of its own' if PRIVATE_BROKER else 'from BROKER_URL'}"


def pytest_unconfigure() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
