"""Everybody who takes part: callers, web, beat, relays, worker pools, and the watch that nobody attacks."""

import sys
import time
from collections.abc import Iterable

from routing.domains import registry
from routing.worker import pools
from tests.chaos.ground import Ground
from tests.chaos.options import Options
from tests.chaos.plan import CALLERS, RELAYS, WIRE
from tests.chaos.programs import Program

BEAT, WEB, WATCH = "beat", "web", "watch"
CHILDREN = 2
STOPPED_WITHIN = 40.0
MOST_TASKS = 40
"""After so many, children of one of the pools make place for new ones: forks happen at any time."""


class Cast:
    def __init__(self, ground: Ground, options: Options) -> None:
        self._ground = ground
        python = [sys.executable, "-m"]
        self.callers = [
            self._program(name, [*python, "tests.chaos.program", "load", name, *_figures(options)]) for name in CALLERS
        ]
        self.relays = [self._program(name, [sys.executable, "manage.py", "relay"]) for name in RELAYS]
        self.workers = [self._worker(name) for name in registry().pools]
        self.beat = self._program(BEAT, [*python, "celery", "--app=project", "--quiet", "beat", "--loglevel=INFO"])
        self.web = self._program(WEB, [*python, "gunicorn", "--config", "python:project.web", "project.wsgi"])
        self.watch = self._program(WATCH, [*python, "tests.chaos.program", "watch"], wired=False)
        self.wires = (
            [self._wire(ground.server.port, options.seed)] if ground.server and not options.deploy_every else []
        )

    @property
    def all(self) -> list[Program]:
        """In the order of their start."""
        return [*self.wires, self.watch, *self.relays, *self.workers, self.beat, self.web, *self.callers]

    def named(self, name: str) -> Program:
        return next(program for program in self.all if program.name == name)

    def _worker(self, pool: str) -> Program:
        extra = [f"--concurrency={CHILDREN}"]
        if pool == next(iter(registry().pools)):
            extra.append(f"--max-tasks-per-child={MOST_TASKS}")
        return self._program(pool, pools.command(pools.get(pool), extra))

    def _wire(self, server_port: int, seed: int) -> Program:
        ports = [str(self._ground.wire_port), str(server_port)]
        return self._program(WIRE, [sys.executable, "-m", "tests.chaos.wire", *ports, f"{seed}/wire"])

    def _program(self, name: str, command: list[str], *, wired: bool = True) -> Program:
        environment = self._ground.wired if wired else self._ground.environment
        return Program(name, command, log=self._ground.logs / f"{name}.log", environment=environment)


def stop(programs: Iterable[Program], *, within: float = STOPPED_WITHIN) -> None:
    """Ask all of them at once to finish; return when they have, or were killed because it took too long."""
    programs = list(programs)
    for program in programs:
        program.begin_stop()
    deadline = time.monotonic() + within
    for program in programs:
        program.stop(within=max(0.0, deadline - time.monotonic()))


def _figures(options: Options) -> list[str]:
    return ["--seed", str(options.seed), "--rate", str(options.rate / len(CALLERS))]
