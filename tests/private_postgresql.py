"""A PostgreSQL server of our own, and all that may befall it."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from project.services.errors import ServiceError
from tests.waiting import until


class Postgresql:
    """A private PostgreSQL cluster, run by an unprivileged user, as PostgreSQL insists."""

    def __init__(self, folder: Path, port: int, *, durable: bool = False) -> None:
        """With ``durable``, it waits for the disk at each commit, as in production."""
        self.data = folder / "postgresql"
        self.port = port
        self._fsync = "on" if durable else "off"
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
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync={self._fsync}"
        log = f"--log={self.data / 'log'}"
        self._run("pg_ctl", f"--pgdata={self.data}", "--wait", f"--options={options}", log, "start")

    def stop(self) -> None:
        """Stop at once, as a crash would; the next start recovers. Safe to call again."""
        if self._has_ended():
            return
        self._run("pg_ctl", f"--pgdata={self.data}", "--wait", "--mode=immediate", "stop")

    def kill(self) -> None:
        """Kill its main process, as the kernel does that runs out of memory. Returns once all of it has ended."""
        os.kill(int(self._pid_file.read_text().split()[0]), signal.SIGKILL)
        # Its other processes notice by themselves; while one of them lives, no new server starts.
        until(lambda: not self._processes(), what="the end of PostgreSQL's processes")
        # A process that nobody has buried yet would be taken for a server that runs.
        self._pid_file.unlink()

    def _processes(self) -> list[Path]:
        return [process for process in Path("/proc").glob("[0-9]*") if _works_in(process, self.data)]

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def _has_ended(self) -> bool:
        return not self._pid_file.exists()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(programs() / program), *arguments]
        with (self.data.parent / f"{program}.log").open("ab") as log:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return process.joinpath("cwd").readlink() == folder
    except OSError:
        return False


def programs() -> Path:
    """Debian keeps initdb and pg_ctl outside PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    on_path = shutil.which("initdb")
    if on_path is None:
        raise ServiceError("PostgreSQL is not installed. Debian: apt-get install postgresql-15")
    return Path(on_path).resolve().parent
