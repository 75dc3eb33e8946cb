"""What one run is asked for on the command line."""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("build/chaos")
RATES = {"postgresql": 20.0, "sqlite": 10.0}
"""Tasks a second that the callers aim at."""
DEPLOY_RATE = 12.0
STOP_WITHIN = 12
"""Seconds that a deploy gives a process to end, the fewest there may be: tasks that are longer need not be long."""
LEAST_SHARE = 0.4
"""Of that rate, while services are away as well."""


@dataclass(frozen=True, kw_only=True)
class Options:
    seconds: int
    seed: int
    nodes: int = 1
    database: str = "postgresql"
    rate: float = 20.0
    settle_within: int = 90
    """Seconds without any outcome, once nobody kills any more, after which what is in flight is stuck."""
    folder: Path = FOLDER
    selftest: bool = False
    deploy_every: int = 0
    """Seconds between two deploys, in place of attacks; 0: attacks."""

    @property
    def least_accepted(self) -> int:
        return int(self.rate * LEAST_SHARE * self.seconds)

    def __str__(self) -> str:
        # As one would type it to have the same again.
        if self.deploy_every:
            return f"SECONDS={self.seconds} SEED={self.seed} EVERY={self.deploy_every} RATE={self.rate:g}"
        return (
            f"SECONDS={self.seconds} SEED={self.seed} NODES={self.nodes} DATABASE={self.database} RATE={self.rate:g} "
            f"SETTLE_WITHIN={self.settle_within}"
        )


def read(arguments: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long to enqueue and to kill")
    parser.add_argument("--seed", type=_seed, default=None, help="repeats the decisions of the run that printed it")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="RabbitMQ nodes")
    parser.add_argument("--database", choices=tuple(RATES), default="postgresql")
    parser.add_argument("--rate", type=_rate, default=None, help="tasks a second that the callers aim at")
    parser.add_argument("--settle-within", type=int, default=90, help="seconds without any outcome that mean stuck")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for journals, logs and tables; emptied first")
    parser.add_argument("--selftest", action="store_true", help="break the settlement on purpose, and see it reported")
    parser.add_argument("--deploy-every", type=int, default=0, help="restart everything every so many seconds instead")
    given = parser.parse_args(arguments)
    seed = random.randrange(10**6) if given.seed is None else given.seed  # noqa: S311
    usual = DEPLOY_RATE if given.deploy_every else RATES[given.database]
    rate = usual if given.rate is None else given.rate
    return Options(**{**vars(given), "seed": seed, "rate": rate})


def _seed(text: str) -> int | None:
    """Empty, as make passes on what nobody set."""
    return int(text) if text else None


def _rate(text: str) -> float | None:
    return float(text) if text else None
