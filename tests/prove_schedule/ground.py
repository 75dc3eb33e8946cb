"""What the proof stands on: its own PostgreSQL and RabbitMQ, a gate before the latter, and the environment."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psycopg

from project.services.rabbitmq import Node
from tests.chaos.programs import ROOT, Program
from tests.free_ports import free_node_port, free_port
from tests.private_broker import Broker
from tests.private_postgresql import Postgresql

NAME = "proof"
UNWANTED = ("EMAIL_URL", "SITE_URL", "TIME_ZONE", "LOG_FORMAT", "DEBUG", "TASKYARD_FAULT", "DATABASE_DIRECT_URL")


class Ground:
    """Needs no Django, which reads this environment when it is set up."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="taskyard-schedule-"))
        self.server = Postgresql(self.folder, free_port())
        node = Node(folder=self.folder / "rabbitmq", port=free_node_port(), name=f"taskyard-proof-{os.getpid()}")
        self.broker = Broker(node)
        self._gate_port = free_port()
        self.environment = self._environment()
        self.gate = self.program(
            "gate", "-m", "tests.prove_schedule.gate", str(self._gate_port), str(self.broker.node.port)
        )
        self._booting = threading.Thread(target=self.broker.start, daemon=True)

    def start(self) -> None:
        """The database is there when this returns; ``wait`` waits for the broker."""
        self._booting.start()
        self.server.create()
        self.server.start()
        with psycopg.connect(self._database_url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {NAME}")
        with (self.folder / "migrate.log").open("ab") as log:
            command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
            subprocess.run(command, cwd=ROOT, env=self.environment, check=True, stdout=log, stderr=log)

    def wait(self) -> None:
        self._booting.join()
        self.gate.start()

    def stop(self) -> None:
        self.gate.stop(within=0)
        self._booting.join(60)
        self.broker.kill()
        with suppress(subprocess.CalledProcessError):
            self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def program(self, name: str, *arguments: str, **variables: str) -> Program:
        """Kept running; not started yet."""
        return Program(
            name,
            [sys.executable, *arguments],
            log=self.folder / f"{name}.log",
            environment=self.environment | variables,
        )

    def _database_url(self, name: str) -> str:
        return f"postgresql://taskyard@127.0.0.1:{self.server.port}/{name}"

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        return {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "tests.prove_schedule.settings",
            "DATABASE_URL": self._database_url(NAME),
            "BROKER_URL": f"amqp://guest:guest@127.0.0.1:{self._gate_port}//",
            "SECRET_KEY": "only-for-proof-" + "x" * 50,
            "TASKYARD_VAR": str(self.folder / "var"),
            "CELERY_SKIP_CHECKS": "1",
            "PYTHONUNBUFFERED": "1",
        }
