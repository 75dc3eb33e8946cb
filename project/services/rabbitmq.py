"""A private RabbitMQ node from an installed ``rabbitmq-server``, run as whoever we are."""

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

INSTALLED_UNDER = (Path("/usr/lib/rabbitmq/lib"), Path("/usr/lib/rabbitmq"), Path("/opt/rabbitmq"))
HANDSHAKE = b"AMQP\x00\x00\x09\x01"


class ServiceError(Exception):
    """A service cannot be used; the message tells the cure."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One RabbitMQ node with its own name, ports, folders and Erlang port mapper."""

    folder: Path
    port: int
    name: str = "taskyard"

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def log(self) -> Path:
        return self.folder / "log" / "rabbitmq.log"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the node and return at once; ``wait_until_ready`` tells when it answers. Raises ServiceError."""
        server = find_server()
        if port_is_taken(self.port):
            raise ServiceError(
                f"Port {self.port} is taken, so RabbitMQ cannot use it. Choose another: BROKER_PORT=5691 make up"
            )
        self.log.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / "rabbitmq.conf").write_text(self._config())
        (self.folder / "enabled_plugins").write_text("[].\n")
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [server], env=self.environment(), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                # A Ctrl-C in the terminal is for us alone: the workers stop first, the broker last.
                start_new_session=True,
            )  # fmt: skip

    def wait_until_ready(self, process: subprocess.Popen[bytes], *, seconds: float = 60) -> None:
        """Raises ServiceError if the node died or does not answer in time."""
        deadline = time.monotonic() + seconds
        while not answers(self.port):
            if process.poll() is not None:
                raise ServiceError(f"RabbitMQ stopped while starting. The reason is at the end of {self.log}:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise ServiceError(f"RabbitMQ did not answer on port {self.port} within {seconds:.0f} s; see {self.log}")
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
        subprocess.run(
            ["epmd", "-kill"], env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` against this node and return what it printed."""
        command = [str(Path(find_server()).with_name("rabbitmqctl")), "--node", self._nodename, *arguments]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceError(f"{' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            # Erlang keeps its cookie in HOME; a private one keeps this node apart from any other on the machine.
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": self._nodename,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self.port + 20000),
            "ERL_EPMD_PORT": str(self.port + 20001),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": str(self.folder / "log" / "node.log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-environment-file"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.folder / "rabbitmq.pid"),
            "LANG": "C.UTF-8",
        }

    @property
    def _nodename(self) -> str:
        return f"{self.name}@localhost"

    def _config(self) -> str:
        return f"listeners.tcp.1 = 127.0.0.1:{self.port}\nloopback_users.guest = true\nvm_memory_high_watermark.relative = 0.3\n"

    def last_words(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def find_server() -> str:
    """The server's own script, which runs as anyone; Debian's wrapper insists on root. Raises ServiceError."""
    for root in INSTALLED_UNDER:
        for script in sorted(root.glob("**/sbin/rabbitmq-server"), reverse=True):
            return str(script)
    raise ServiceError(
        "RabbitMQ is not installed. Either install it (Debian: apt-get install rabbitmq-server) or name a broker "
        "that runs: BROKER_URL=amqp://user:password@host:5672/vhost"
    )


def answers(port: int) -> bool:
    """Whether something on this port speaks AMQP: RabbitMQ listens a little before it does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.settimeout(2)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def port_is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
