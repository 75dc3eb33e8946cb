"""Worker pools: the ``celery worker`` command line that each queue's declared limits come to."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches

from routing.domains import Pool, registry


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
    """The worker of this pool as a command line; ``extra`` goes last and so wins."""
    return [
        sys.executable,
        "-m",
        "celery",
        "--app=project",
        "--quiet",
        "worker",
        f"--queues={pool.name}",
        f"--hostname={pool.name}@%h",
        f"--concurrency={pool.concurrency}",
        f"--prefetch-multiplier={pool.prefetch}",
        "--loglevel=INFO",
        *extra,
    ]
