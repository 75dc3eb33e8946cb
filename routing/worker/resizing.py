"""How many processes this worker's pool has, told and changed at somebody's asking; until it is started anew.

A size and not a difference, so that an order that comes twice is carried out once.
"""

from typing import Any

from celery.worker.control import control_command, inspect_command

from routing.domains import Pool
from routing.worker.prefork import TaskPool

NOT_PREFORK = "Its pool is not one of processes (prefork), so it cannot be resized while it runs"


@inspect_command()
def pool_size(state: Any, **_: Any) -> dict[str, Any]:
    """``size``: as it shall be; ``busy``: how many of its processes are at a task. Of prefork pools alone."""
    pool = _pool(state)
    return {"error": NOT_PREFORK} if pool is None else _told(pool)


@control_command(args=[("size", int)], signature="SIZE")
def resize_pool(state: Any, size: int, **_: Any) -> dict[str, Any]:
    """Start or end processes until there are so many. Only idle ones are ended; what runs is never broken off."""
    pool = _pool(state)
    if pool is None:
        return {"error": NOT_PREFORK}
    if not 1 <= size <= Pool.MOST:
        return {"error": f"A pool has from 1 to {Pool.MOST} processes"}
    if any(child._controlled_termination for child in pool._pool._pool):
        return {"error": "It is still ending processes that were taken away. Try again in a moment"}
    before = pool.num_processes
    if size > before:
        pool.grow(size - before)
    elif idle := min(before - size, len(_idle(pool))):
        pool.shrink(idle)
    state.consumer.is_resized |= pool.num_processes != before
    # Celery would do so within five seconds.
    pool.maintain_pool()
    return {"ok": _told(pool)}


def _pool(state: Any) -> Any:
    pool = state.consumer.pool
    return pool if isinstance(pool, TaskPool) else None


def _told(pool: Any) -> dict[str, int]:
    busy = sum(pool._pool._worker_active(child) for child in pool._pool._pool)
    return {"size": pool.num_processes, "busy": busy}


def _idle(pool: Any) -> list[Any]:
    return list(pool._pool._iterinactive())
