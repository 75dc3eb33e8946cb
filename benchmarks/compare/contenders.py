"""Who is compared: each with its environment, its worker's command line and its application."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare.services import Services

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"ours": "project.settings", "stock": "benchmarks.stock.settings"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Contender:
    """``side`` is ours or stock. ``apart``: shown for itself, never in a ratio."""

    name: str
    side: str
    database: str
    backlog: int
    """Tasks in a round, for about the same time in each contender's."""
    variables: Mapping[str, str] = field(default_factory=dict)
    pool: tuple[str, ...] = ("--concurrency=2",)
    has_results: bool = True
    apart: bool = False

    @property
    def is_ours(self) -> bool:
        return self.side == "ours"

    @property
    def queue(self) -> str:
        """Each stock contender has one of its own, named as its database."""
        return "notifications" if self.is_ours else self.database

    def task(self, verb: str) -> str:
        return f"{'notifications' if self.is_ours else 'stock'}.{verb}"

    def environment(self, services: Services, folder: Path) -> dict[str, str]:
        url = services.database_url(self.database)
        if "synchronous_commit" in self.variables:
            url += f"?options=-c%20synchronous_commit%3D{self.variables['synchronous_commit']}"
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": SETTINGS[self.side],
            "BROKER_URL": services.broker_url,
            "DATABASE_URL": url,
            "STOCK_DATABASE_URL": url,
            "STOCK_QUEUE": self.queue,
            "TASKYARD_VAR": str(folder / "var"),
            "SECRET_KEY": "only-for-benchmarks-" + "x" * 50,
            "CELERY_SKIP_CHECKS": "1",
            **self.variables,
        }

    def worker(self, prefetch: int) -> list[str]:
        """Both log at INFO: ours as ``manage.py pool`` starts it, stock as its documentation does.

        Ours leaves out one of stock's two lines for a task, that its message has come.
        """
        if self.is_ours:
            command = [sys.executable, "manage.py", "pool", self.queue, "--", "--include=benchmarks.compare.tasks"]
        else:
            command = [sys.executable, "-m", "celery", "--app=benchmarks.stock", "--quiet", "worker"]
            command += ["--loglevel=INFO", f"--queues={self.queue}", f"--hostname={self.database}@%h"]
        return [*command, f"--prefetch-multiplier={prefetch}", *self.pool]


def relay_command() -> list[str]:
    return [sys.executable, "manage.py", "relay"]


DOCUMENTED = Contender(name="stock, as documented", side="stock", database="stock", backlog=1_500)
KEPT = Contender(
    name="stock, connections kept",
    side="stock",
    database="stock_kept",
    backlog=3_000,
    variables={"STOCK_KEEPS_CONNECTIONS": "1"},
)
OURS = Contender(name="ours", side="ours", database="taskyard", backlog=6_000)
CEILING = Contender(
    name="Celery without results",
    side="stock",
    database="stock_plain",
    backlog=12_000,
    variables={"STOCK_WITHOUT_RESULTS": "1", "STOCK_WITHOUT_CONFIRMS": "1"},
    has_results=False,
)
LOADS = {"half": DOCUMENTED, "half_kept": KEPT}
"""Half of what each of these can do; the same calls for all."""
IN_RATIOS = (DOCUMENTED, KEPT, OURS, CEILING)
APART = {
    "threads": (
        Contender(
            name="ours, 10 threads",
            side="ours",
            database="taskyard",
            backlog=6_000,
            pool=("--pool=threads", "--concurrency=10"),
            apart=True,
        ),
    ),
    "relaxed": (
        Contender(
            name="ours, relaxed commits",
            side="ours",
            database="taskyard",
            backlog=6_000,
            variables={"synchronous_commit": "off"},
            apart=True,
        ),
        Contender(
            name="stock kept, relaxed commits",
            side="stock",
            database="stock_kept",
            backlog=3_000,
            variables={"STOCK_KEEPS_CONNECTIONS": "1", "synchronous_commit": "off"},
            apart=True,
        ),
    ),
}
