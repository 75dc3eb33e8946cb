"""A PgBouncer of our own in transaction mode, before the tests' PostgreSQL, and all that may befall it."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from project.services.errors import ServiceError
from tests.waiting import until


class PgBouncer:
    """Every database of the server is reached through it, by the same name."""

    def __init__(self, folder: Path, port: int, *, server_port: int, mode: str = "transaction", **figures: int) -> None:
        """``figures`` are further settings, such as ``max_client_conn``."""
        self.port = port
        self._folder = folder
        self._server_port = server_port
        self._mode = mode
        self._figures = {"default_pool_size": 20, "max_client_conn": 400, **figures}
        self._process: subprocess.Popen[bytes] | None = None
        # It refuses to run as root.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def start(self) -> None:
        """Return once it answers. Safe to call again. Raises ServiceError."""
        if self._process is not None and self._process.poll() is None:
            return
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise ServiceError("PgBouncer is not installed. Debian: apt-get install pgbouncer")
        self._write()
        with (self._folder / "pgbouncer.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user, program, str(self._folder / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        until(self._answers, what=f"PgBouncer; see {self._folder / 'pgbouncer.log'}")

    def kill(self) -> None:
        """End it at once, with every connection through it. Safe to call again."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o755)
        (self._folder / "users.txt").write_text('"taskyard" ""\n')
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": self._folder / "users.txt",
            "pool_mode": self._mode,
            "stats_users": "taskyard",
            **self._figures,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        text = [
            "[databases]",
            f"* = host=127.0.0.1 port={self._server_port}",
            "[pgbouncer]",
            *lines,
        ]
        (self._folder / "pgbouncer.ini").write_text("\n".join(text) + "\n")

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
