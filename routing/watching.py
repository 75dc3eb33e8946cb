"""What domains watch beside the pipeline itself: the start page, the status and the probe tell it with their own."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.module_loading import import_string


@dataclass(frozen=True)
class Told:
    """Something that needs a look, and holds up neither workers nor queues. ``public`` is what anybody may be told.

    A thread looks, and people of any language read: what is to be translated is lazy.
    """

    subject: str
    sentence: str
    public: str


_watchers: dict[str, str] = {}
_metrics: dict[str, str] = {}


def add(domain: str, watcher: str) -> None:
    """``watcher``: the dotted name of a function that looks and returns what it has to tell. Safe to call again."""
    _watchers[domain] = watcher


def look() -> list[Told]:
    found: list[Told] = []
    for watcher in _watchers.values():
        told: Iterable[Told] = import_string(watcher)()
        found.extend(told)
    return found


def add_metrics(domain: str, collector: str) -> None:
    """``collector``: the dotted name of a function that returns families for ``/metrics``. Safe to call again."""
    _metrics[domain] = collector


def metrics() -> list[Any]:
    found: list[Any] = []
    for collector in _metrics.values():
        found.extend(import_string(collector)())
    return found
