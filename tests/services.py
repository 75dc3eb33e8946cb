"""The real services that the tests run against: a private RabbitMQ node and PostgreSQL or SQLite.

A pytest plugin, loaded before Django's settings, because those read the addresses from the environment.

TEST_DATABASE=postgresql|sqlite chooses the database. BROKER_URL names a broker to use in place of a private node.
A service that cannot be had skips its tests on a laptop and fails them where CI is set.
"""

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from project.services.errors import ServiceError
from project.services.rabbitmq import Node

DATABASE = os.environ.get("TEST_DATABASE", "sqlite")
FOLDER = Path(tempfile.mkdtemp(prefix="taskyard-tests-"))
PRIVATE_BROKER = "BROKER_URL" not in os.environ


def free_port(*, below: int = 32000) -> int:
    """A port nobody listens on, low enough that a node's further ports (+20000) exist too."""
    # Two runs at once should not try the same ones in the same order.
    for port in random.sample(range(20000, below), 2000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"No free port below {below}.")


NODE = Node(folder=FOLDER / "rabbitmq", port=free_port(), name=f"taskyard-tests-{os.getpid()}")
POSTGRESQL_PORT = free_port(below=40000) + 1

os.environ["TASKYARD_VAR"] = str(FOLDER / "var")
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


@pytest.fixture(scope="session")
def broker_node() -> Iterator[Node | None]:
    """The suite's own RabbitMQ node; None where BROKER_URL names another broker."""
    if not PRIVATE_BROKER:
        yield None
        return
    try:
        process = NODE.start()
        NODE.wait_until_ready(process)
    except ServiceError as error:
        missing(str(error))
    yield NODE
    NODE.stop(process)


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
        """Stop at once, as a crash would; the next start recovers."""
        self._run("pg_ctl", f"--pgdata={self.data}", "--wait", "--mode=immediate", "stop")

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
    server.create()
    server.start()
    yield server
    server.stop()


def pytest_report_header() -> str:
    return f"taskyard: {DATABASE}, broker {'of its own' if PRIVATE_BROKER else 'from BROKER_URL'}"


def pytest_unconfigure() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
