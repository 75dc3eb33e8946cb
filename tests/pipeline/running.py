"""``make up`` for real: in a terminal of its own, with its own folder, ports, database and RabbitMQ node."""

import os
import pty
import random
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

from tests.services import PRIVATE_BROKER
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN, STOPPED_WITHIN = 120, 60
CTRL_C = b"\x03"


class RunningProject:
    """What a person at the terminal has: what it printed, the keyboard, and where to look."""

    def __init__(self, folder: Path, *, database_url: str | None, target: str = "up") -> None:
        self.var = folder / "var"
        self.port = free_port()
        self.broker_port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.username = "admin"
        self.environment = self._environment(database_url)
        self._output = bytearray()
        self._terminal, inner = pty.openpty()
        # Everything in its own session with this terminal, so that a Ctrl-C reaches all that a real one would.
        command = ["setsid", "--ctty", "make", target, f"VENV={Path(sys.prefix)}"]
        self.make = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdin=inner, stdout=inner, stderr=inner, start_new_session=False
        )
        os.close(inner)
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def output(self) -> str:
        """Everything printed so far, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self._output.decode(errors="replace")).replace("\r\n", "\n")

    @property
    def password(self) -> str:
        """The administrator's, as printed."""
        found = re.search(r"user admin, password (\S+)", self.output)
        assert found, self.output
        return found[1]

    def until_says(self, words: str, *, seconds: float = READY_WITHIN) -> None:
        until(lambda: words in self.output or self._has_ended(), seconds=seconds, what=f"{words!r} in:\n{self.output}")
        assert words in self.output, self.output

    def press(self, key: bytes) -> None:
        os.write(self._terminal, key)

    def wait(self) -> int:
        """The exit status of make, once it has ended."""
        return self.make.wait(STOPPED_WITHIN)

    def pids(self, *words: str) -> list[int]:
        """The live processes of this start whose command line has all these words, whoever their parent is."""
        mark = f"TASKYARD_VAR={self.var}\0".encode()
        return [pid for pid in _all_pids() if _is(pid, mark=mark, words=words)]

    def _listen(self) -> None:
        # Reading the terminal fails once its last user has gone.
        while True:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                return
            if not data:
                return
            self._output += data

    def _has_ended(self) -> bool:
        return self.make.poll() is not None

    def _environment(self, database_url: str | None) -> dict[str, str]:
        unwanted = {"DATABASE_URL", "SECRET_KEY", "MAKEFLAGS", "MAKELEVEL", "COVERAGE_PROCESS_START"}
        if PRIVATE_BROKER:
            unwanted.add("BROKER_URL")
        environment = {name: value for name, value in os.environ.items() if name not in unwanted}
        environment |= {"TASKYARD_VAR": str(self.var), "PORT": str(self.port), "BROKER_PORT": str(self.broker_port)}
        return environment | ({"DATABASE_URL": database_url} if database_url else {})


def free_port() -> int:
    """A port nobody uses, below those that the system hands out by itself, with room for RabbitMQ's further two."""
    # Two runs at once should not try the same ones in the same order.
    for port in random.sample(range(12000, 30000), 2000):
        if port not in _given and all(_is_free(port + distance) for distance in (0, 20_000, 20_001)):
            _given.add(port)
            return port
    raise RuntimeError("No free port.")


_given: set[int] = set()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _is(pid: int, *, mark: bytes, words: tuple[str, ...]) -> bool:
    process = Path(f"/proc/{pid}")
    try:
        command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return mark in process.joinpath("environ").read_bytes() and all(word in command for word in words)
    except OSError:
        return False
