"""A private RabbitMQ node from an installed ``rabbitmq-server``, run as whoever we are."""

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from project import bootstrap
from project.services import ports
from project.services.errors import ServiceError

DISTRIBUTION, PORT_MAPPER = 20_000, 20_001
"""What is added to a node's port for Erlang's own two."""
HIGHEST_PORT = 65_535 - PORT_MAPPER
PACKAGE = "rabbitmq-server"
INSTALLED_UNDER = (Path("/usr/lib/rabbitmq/lib"), Path("/usr/lib/rabbitmq"), Path("/opt/rabbitmq"))
ANOTHER_BROKER = "BROKER_URL=amqp://user:password@host:5672/vhost make up"
HANDSHAKE = b"AMQP\x00\x00\x09\x01"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One RabbitMQ node with its own name, ports, folders and Erlang port mapper."""

    folder: Path
    port: int
    name: str = "taskyard"
    consumer_timeout: timedelta = timedelta(minutes=30)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def log(self) -> Path:
        return self.folder / "log" / "rabbitmq.log"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the node and return at once; ``wait_until_ready`` tells when it answers. Raises ServiceError."""
        self.prepare()
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal is for us alone: the workers stop first, the broker last.
                start_new_session=True,
            )

    @property
    def command(self) -> list[str]:
        """What runs the node in the foreground, in ``environment()``. Raises ServiceError."""
        return [find_server()]

    def prepare(self) -> None:
        """Write the node's configuration. Raises ServiceError if the node could not run."""
        find_server()
        if self.port > HIGHEST_PORT:
            raise ServiceError(
                f"BROKER_PORT={self.port} is too high, because Erlang needs two further ports above it. "
                f"Use {HIGHEST_PORT} at most."
            )
        ports.require(self.port, variable="BROKER_PORT")
        self.write()

    @property
    def configuration(self) -> Path:
        return self.folder / "rabbitmq.conf"

    def write(self) -> None:
        """Its folder and configuration, where they are not there. Safe to call again."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.configuration.write_text(self._config())
        (self.folder / "enabled_plugins").write_text("[].\n")

    def wait_until_ready(self, process: subprocess.Popen[bytes], *, seconds: float = 60) -> None:
        """Raises ServiceError if the node died or does not answer in time."""
        deadline = time.monotonic() + seconds
        while not answers(self.port):
            if process.poll() is not None:
                raise ServiceError(
                    f"RabbitMQ stopped while starting. The reason is at the end of {self.log}:\n{self.last_words()}"
                )
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"RabbitMQ did not answer on port {self.port} within {seconds:.0f} s; see {self.log}"
                )
            time.sleep(0.1)

    def stop(self, process: subprocess.Popen[bytes], *, seconds: float = 30) -> None:
        """Stop the node in good order, and its port mapper. Safe to call again."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.stop_port_mapper()

    def stop_port_mapper(self) -> None:
        """Erlang leaves it running when the node has ended. Safe to call again."""
        if shutil.which("epmd") is None:
            return
        subprocess.run(
            ["epmd", "-kill"],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` against this node and return what it printed."""
        command = [str(Path(find_server()).with_name("rabbitmqctl")), "--node", self._nodename, *arguments]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceError(f"{' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        # Whatever is set for another node on this machine is not for this one.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
        return {
            **inherited,
            # Erlang keeps its cookie in HOME; a private one keeps this node apart from any other on the machine.
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": self._nodename,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self.port + DISTRIBUTION),
            "ERL_EPMD_PORT": str(self.port + PORT_MAPPER),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": str(self.folder / "log" / "node.log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONFIG_FILES": str(self.folder / "no-further-files"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "no-advanced-file.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-environment-file"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.folder / "rabbitmq.pid"),
            "LANG": "C.UTF-8",
        }

    @property
    def _nodename(self) -> str:
        return f"{self.name}@localhost"

    def _config(self) -> str:
        return (
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "loopback_users.guest = true\n"
            "vm_memory_high_watermark.relative = 0.3\n"
            "log.file.rotation.size = 10485760\n"
            "log.file.rotation.count = 3\n"
            f"consumer_timeout = {self.consumer_timeout // timedelta(milliseconds=1)}\n"
        )

    def last_words(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def is_installed() -> bool:
    try:
        find_server()
    except ServiceError:
        return False
    return True


def install() -> None:
    """Install Debian's package where that can be done. Raises ServiceError."""
    try:
        bootstrap.install_packages([PACKAGE])
    except bootstrap.BootstrapError as error:
        raise ServiceError(f"{error}\nOr name a broker that runs: {ANOTHER_BROKER}") from None


def find_server() -> str:
    """The server's own script, which runs as anyone; Debian's wrapper insists on root. Raises ServiceError."""
    for root in INSTALLED_UNDER:
        for script in sorted(root.glob("**/sbin/rabbitmq-server"), reverse=True):
            return str(script)
    raise ServiceError(
        f"RabbitMQ is not installed. Either install it ({bootstrap.by_hand([PACKAGE])}) or name a broker that runs: "
        f"{ANOTHER_BROKER}"
    )


def answers(port: int) -> bool:
    """Whether something on this port speaks AMQP: RabbitMQ listens a little before it does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.settimeout(2)
            connection.sendall(HANDSHAKE)
            return connection.recv(1) == b"\x01"
    except OSError:
        return False
