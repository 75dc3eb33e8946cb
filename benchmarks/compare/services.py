"""A private RabbitMQ node and PostgreSQL server, as their packages configure them: every commit waits for the disk."""

import os
import random
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from project.services.rabbitmq import DISTRIBUTION, PORT_MAPPER, Node

DATABASES = ("taskyard", "stock", "stock_kept", "stock_plain")
FREE_PORTS = range(10_000, 12_700)


@dataclass(frozen=True)
class Services:
    """Where both are, and the process that each one's other processes descend from."""

    broker_url: str
    broker_pid: int
    database_port: int
    database_pid: int

    def database_url(self, name: str) -> str:
        return f"postgresql://taskyard@127.0.0.1:{self.database_port}/{name}"


@contextmanager
def running(folder: Path, *, options: tuple[str, ...] = ()) -> Iterator[Services]:
    """Start both, and stop them in the end. ``options`` are further settings of PostgreSQL, such as ``name=value``."""
    # PostgreSQL's own user has to get there.
    folder.chmod(0o755)
    node = Node(folder=folder / "rabbitmq", port=free_port(), name=f"taskyard-bench-{os.getpid()}")
    process = node.start()
    try:
        with _postgresql(folder / "postgresql", free_port(), options) as (port, pid):
            node.wait_until_ready(process)
            yield Services(node.url, process.pid, port, pid)
    finally:
        node.stop(process)


@contextmanager
def _postgresql(data: Path, port: int, options: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    data.mkdir()
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(data, "postgres")
    programs = _programs()

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), *arguments]
        with data.with_name(f"{program}.log").open("ab") as log:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

    run("initdb", "--auth=trust", "--username=taskyard", "--encoding=UTF8", "--locale=C.UTF-8", f"--pgdata={data}")
    settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on", *options]
    arguments = " ".join([f"-p {port}", *(f"-c {setting}" for setting in settings)])
    control = ["pg_ctl", f"--pgdata={data}", "--wait"]
    run(*control, f"--options={arguments}", f"--log={data / 'log'}", "start")
    try:
        for name in DATABASES:
            run("createdb", "--host=127.0.0.1", f"--port={port}", "--username=taskyard", name)
        yield port, int((data / "postmaster.pid").read_text().splitlines()[0])
    finally:
        run(*control, "--mode=fast", "stop")


def seconds_per_flush(folder: Path) -> float:
    """What the disk takes to keep 8 KiB for good, the median of 200: it bounds every figure of a database."""
    file = os.open(folder / "flush", os.O_CREAT | os.O_WRONLY)
    try:
        return statistics.median(_flush(file) for _ in range(200))
    finally:
        os.close(file)


def _flush(file: int) -> float:
    began = time.perf_counter()
    os.pwrite(file, bytes(8192), 0)
    os.fdatasync(file)
    return time.perf_counter() - began


def _programs() -> Path:
    """Debian keeps initdb and pg_ctl outside PATH."""
    on_path = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True) + (
        [Path(on_path)] if on_path else []
    )
    if not found:
        raise SystemExit("PostgreSQL is not installed. Debian: apt-get install postgresql")
    return found[0].resolve().parent


def free_port() -> int:
    """A port nobody listens on, nor on the further two that a RabbitMQ node derives from it."""
    return next(
        port
        for port in random.sample(FREE_PORTS, len(FREE_PORTS))
        if all(_is_free(port + distance) for distance in (0, DISTRIBUTION, PORT_MAPPER))
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
