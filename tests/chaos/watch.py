"""The watch: writes down every outcome as soon as it is there, again if it changes, and whether the books balance."""

import hashlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection
from django_celery_results.models import TaskResult

from routing.ledger import audit

logger = logging.getLogger(__name__)

LOOK_EVERY, AUDIT_EVERY = 1.0, 10.0
OVERLAP = 1000
"""Rows become visible in another order than that of their keys; so many are looked at again each time."""


def signature(result: TaskResult) -> str:
    """Equal for equal outcomes only."""
    digest = hashlib.md5((result.result or "").encode(), usedforsecurity=False).hexdigest()[:8]
    return f"{result.status} {result.date_done.isoformat()} {digest}"


class Watch:
    def __init__(self, folder: Path) -> None:
        self._outcomes = (folder / "outcomes.log").open("a", buffering=1)
        self._books = (folder / "books.log").open("a", buffering=1)
        self._seen: dict[str, str] = {}
        self._newest = 0
        self._audited_at = float("-inf")

    def look(self) -> None:
        for result in TaskResult.objects.filter(pk__gt=self._newest - OVERLAP).order_by("pk"):
            self._newest = max(self._newest, result.pk)
            is_now = signature(result)
            if self._seen.get(result.task_id) != is_now:
                self._seen[result.task_id] = is_now
                self._outcomes.write(f"{time.time():.3f} {result.task_id} {is_now}\n")

    def audit(self) -> None:
        if time.monotonic() - self._audited_at < AUDIT_EVERY:
            return
        found = audit.audit()
        self._audited_at = time.monotonic()
        line = {"at": round(time.time(), 3), "balances": found.balances, "verdict": found.verdict}
        self._books.write(json.dumps(line) + "\n")


def main(_arguments: Sequence[str]) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watch = Watch(Path(os.environ["TASKYARD_CHAOS_FOLDER"]))
    while not stop.wait(LOOK_EVERY):
        try:
            watch.look()
            watch.audit()
        except (DatabaseError, InterfaceError) as error:
            logger.info("The database is away: %s", error)
            connection.close()
