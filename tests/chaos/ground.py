"""What a run stands on: its folder, its own RabbitMQ and database, and the environment that names them."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg

from tests.chaos.cluster import Cluster
from tests.chaos.options import STOP_WITHIN, Options
from tests.chaos.programs import ROOT
from tests.free_ports import free_port
from tests.private_postgresql import Postgresql

NAME = "chaos"
DEAD_AFTER = 7
RELEASE = "even"
"""Which release everybody starts with; tests/chaos/releases.py has both."""
UNWANTED = ("EMAIL_URL", "SITE_URL", "TIME_ZONE", "LOG_FORMAT", "DEBUG", "WEB_CONCURRENCY", "TASKYARD_FAULT")


class Ground:
    """Needs no Django, which reads this environment when it is set up."""

    def __init__(self, options: Options, *, sabotage: str = "") -> None:
        self.folder = options.folder.resolve()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.logs.mkdir(parents=True)
        self.cluster = Cluster(self.folder, nodes=options.nodes)
        # PostgreSQL runs as another user, who may enter few folders.
        self._outside = Path(tempfile.mkdtemp(prefix="taskyard-chaos-"))
        self.server = None
        if options.database == "postgresql":
            self.server = Postgresql(self._outside, free_port(), durable=True)
        self.port, self.wire_port = free_port(), free_port()
        self.environment = self._environment(sabotage)
        self._seed = options.seed
        self._is_deployed = bool(options.deploy_every)
        self._is_sabotaged = bool(sabotage)

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    def start(self) -> None:
        if self.server is not None:
            self.server.create()
            self.server.start()
            with psycopg.connect(self.database_url, dbname="postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {NAME}")
        self.cluster.start()
        self.manage("migrate", "--verbosity=0")
        self.manage("createcachetable")
        self.manage("topology", "apply")

    def stop(self) -> None:
        self.cluster.stop()
        if self.server is not None:
            # It may have been left dead by the run.
            with suppress(subprocess.CalledProcessError):
                self.server.stop()
            shutil.copy(self.server.data / "log", self.logs / "postgresql.log")
        shutil.rmtree(self._outside, ignore_errors=True)

    def manage(self, *arguments: str) -> None:
        """Raises CalledProcessError, with what it said in log/manage.log."""
        with (self.logs / "manage.log").open("ab") as log:
            command = [sys.executable, "manage.py", *arguments]
            subprocess.run(command, cwd=ROOT, env=self.environment, check=True, stdout=log, stderr=log)

    @property
    def database_url(self) -> str:
        """Without the wire."""
        if self.server is None:
            return f"sqlite:///{self.folder / 'taskyard.sqlite3'}"
        return f"postgresql://taskyard@127.0.0.1:{self.server.port}/{NAME}"

    @property
    def wired(self) -> dict[str, str]:
        """The environment of those who are attacked: they die in crash windows, and are far from the database."""
        if self._is_deployed:
            return {**self.environment, "TASKYARD_CHAOS_RELEASE": RELEASE}
        windows = {} if self._is_sabotaged else {"TASKYARD_CHAOS_WINDOWS": f"{self._seed}/windows"}
        if self.server is None:
            return {**self.environment, **windows}
        wire = f"postgresql://taskyard@127.0.0.1:{self.wire_port}/{NAME}"
        return {**self.environment, **windows, "DATABASE_URL": wire}

    def _environment(self, sabotage: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        return {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "DATABASE_URL": self.database_url,
            "BROKER_URL": self.cluster.urls,
            "PORT": str(self.port),
            "SECRET_KEY": "only-for-chaos-" + "x" * 50,
            "TASKYARD_VAR": str(self.folder / "var"),
            "TASKYARD_DEAD_AFTER": str(DEAD_AFTER),
            "TASKYARD_STOP_WITHIN": str(STOP_WITHIN),
            "TASKYARD_CHAOS_FOLDER": str(self.folder),
            "TASKYARD_CHAOS_SABOTAGE": sabotage,
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
        }
