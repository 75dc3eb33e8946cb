"""Worker pools: the ``celery worker`` that each queue's declared limits come to."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

from django.conf import settings

from routing.domains import Pool, registry
from routing.worker import steps

ALONE = ("-P", "--pool", "-D", "--detach")
"""Options for which Celery must have the process from its beginning: a pool may patch Python, a daemon repeats it."""


class UnknownPool(LookupError):
    def __init__(self, name: str) -> None:
        pools = list(registry().pools)
        close = get_close_matches(name, pools, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"There is no pool {name!r}.{hint} The pools are: {', '.join(pools)}.")


def get(name: str) -> Pool:
    """Raises UnknownPool."""
    try:
        return registry().pools[name]
    except KeyError:
        raise UnknownPool(name) from None


def command(pool: Pool, extra: Sequence[str] = ()) -> list[str]:
    """The program that is this pool's worker, for those who have run the system checks themselves."""
    manage = str(settings.BASE_DIR / "manage.py")
    return [sys.executable, manage, "pool", "--skip-checks", pool.name, *(["--", *extra] if extra else [])]


def run(pool: Pool, extra: Sequence[str] = ()) -> None:
    """Be this pool's worker, until the process ends.

    Celery's own command line would be the same worker, and take half a second and 20 MB more: to offer Flower and a
    shell as commands, it loads them first.
    """
    from celery.app import app_or_default
    from celery.bin.base import CLIContext
    from celery.bin.worker import worker

    steps.be_nice(pool.lane.nice)
    if any(word.startswith(ALONE) for word in extra):
        _become([sys.executable, "-m", "celery", "--app=project", "--quiet", "worker", *arguments(pool, extra)])
    context = CLIContext(app=app_or_default(), no_color=bool(os.environ.get("NO_COLOR")), workdir=None, quiet=True)
    worker.main(arguments(pool, extra), prog_name="celery worker", obj=context, auto_envvar_prefix="CELERY_WORKER")


def arguments(pool: Pool, extra: Sequence[str] = ()) -> list[str]:
    """For ``celery worker``; ``extra`` goes last and so wins."""
    return [
        f"--queues={pool.name}",
        f"--hostname={pool.name}@%h",
        f"--concurrency={pool.concurrency}",
        f"--prefetch-multiplier={pool.prefetch}",
        "--loglevel=INFO",
        *extra,
    ]


def _become(command: list[str]) -> NoReturn:
    """In this process, so that a supervisor's signals reach the worker and nobody else."""
    os.execv(command[0], command)  # noqa: S606
