"""Paused queues, as this worker knows them: told to its children through shared memory, so that a claim costs no more.

Set in the main process, from whatever thread, and effective at once: nothing of the queue begins after that in any of
its processes, but for a body that has had its last look at that very moment.
"""

from collections.abc import Collection
from functools import cache
from mmap import mmap

from routing.broker.names import logical
from routing.domains import registry

_page: mmap | None = None
"""A byte for each declared queue; None where this process is no worker."""


def open_page() -> None:
    """For the main process, before it forks."""
    global _page
    _page = mmap(-1, max(len(registry().pools), 1))


def apply(queues: Collection[str]) -> None:
    """These are paused, and no others. What no domain declares is consumed by nobody, and left out."""
    if _page is not None:
        for queue, place in _places().items():
            _page[place] = queue in queues


def is_paused(queue: str | None) -> bool:
    place = _places().get(logical(queue or ""))
    return _page is not None and place is not None and bool(_page[place])


@cache
def _places() -> dict[str, int]:
    return {queue: place for place, queue in enumerate(registry().pools)}
