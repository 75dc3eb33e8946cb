"""Who lives: each long-running process has a row for its incarnation, and beats in it by the database's clock.

Safe to call from any thread. Nothing here waits for a database that is away; whoever calls decides what to do then.
"""

import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from configparser import ConfigParser
from datetime import timedelta
from importlib import metadata
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet
from django.db.models.functions import Now

from routing.alive import Sign
from routing.ledger import database
from routing.ledger.tables import Message, Process

DEAD_AFTER = float(settings.TASKYARD_DEAD_AFTER)
"""Seconds in which a process could have beaten and did not."""
BEAT_EVERY = DEAD_AFTER / 7
SILENT_AFTER = timedelta(seconds=DEAD_AFTER / 2)
"""So late, another process may step in, without anybody being declared dead."""
PRUNE_AFTER = timedelta(days=1)
PRUNE_EVERY = 3600.0

_signs: dict[int, Sign] = {}


def register(role: str, name: str, *, queues: Sequence[str] = (), embedded: bool = False) -> int:
    """A new row, and so a new incarnation, each time. Its id is what owns messages."""
    process = rows().create(
        role=role,
        name=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=_version(),
        queues=json.dumps(list(queues)),
        embedded=embedded,
    )
    sign = _signs[process.pk] = Sign(settings.VAR / "alive", role, name)
    sign.touch()
    return int(process.pk)


def beat(process_id: int, *, consuming: bool | None = None, trouble: str = "") -> bool:
    """Show that it lives. False if it was declared dead, or its row is gone: drop what it runs, and start anew."""
    try:
        beats = live_by_id(process_id).update(beat_at=Now(), consuming=consuming, trouble=trouble)
    except (DatabaseError, InterfaceError):
        # The database is what is away. A supervisor that restarted this process would only end what it runs.
        _show_here(process_id)
        raise
    if beats:
        _show_here(process_id)
    return bool(beats)


def _show_here(process_id: int) -> None:
    """To the supervisors of this machine."""
    if sign := _signs.get(process_id):
        sign.touch()


def leave(process_id: int) -> None:
    """End in good order: what it still owns is a dead process's from now on. Safe to call again."""
    if sign := _signs.pop(process_id, None):
        sign.remove()
    rows().filter(pk=process_id).delete()


def rows() -> "QuerySet[Process]":
    """Every incarnation that is remembered, read where it is written."""
    return Process.objects.using(database.using())


def live_by_id(process_id: int) -> "QuerySet[Process]":
    """That one, unless it was declared dead."""
    return rows().filter(pk=process_id, dead_at=None)


def live(role: str) -> "QuerySet[Process]":
    """Those not declared dead; some of them may be late."""
    return rows().filter(role=role, dead_at=None)


def beating(role: str, *, within: timedelta = SILENT_AFTER) -> "QuerySet[Process]":
    """Those that beat lately."""
    return live(role).filter(beat_at__gte=Now() - within)


def whoever() -> str:
    """Who runs this process, for the books."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        # A container's user may have no name.
        return socket.gethostname()


class Observer:
    """Declares dead who stopped beating. Any number may observe; call ``observe`` about every three seconds.

    A beat's age alone proves nothing: after the database was away an hour, every row is an hour old and everybody
    lives. So the age by any clock is not looked at. Counted is the time in which this observer saw the same beat again
    and again, while it could reach the database itself: in that time its owner could have beaten, and did not.

    Three things make that true. An observation is a transaction that could have written, because a database that
    reads and cannot write lets nobody beat. Where an observation fails, or comes late (we were frozen, or the answer
    was), all that was counted is forgotten and everybody gets the full time again. And the declaration is one
    statement that holds only while the row has the very beat that was seen, so a beat in the last moment wins; a beat
    that comes after it finds that it lost, and its process starts anew.

    ``clock`` is any that only moves forward.
    """

    LATE = 3 * BEAT_EVERY

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[int, tuple[str, float]] = {}
        """By process: its last beat, and since when we have seen no newer one."""
        self._observed_at = clock()
        self._pruned_at = float("-inf")

    def observe(self) -> list[int]:
        """Those declared dead by this call. Raises DatabaseError or InterfaceError where the database is away."""
        try:
            beats = self._beats()
            self._remember(beats)
            declared = [process_id for process_id in self._overdue() if self._declare_dead(process_id)]
            self._prune()
        except (DatabaseError, InterfaceError):
            self._seen.clear()
            raise
        return declared

    def _beats(self) -> dict[int, str]:
        with database.atomic():
            if database.on_postgresql():
                # SQLite's transactions take the write lock as they begin; here it takes a transaction id.
                database.rows("SELECT txid_current()")
            # As text: SQLite compares times as it stores them, and Python writes them otherwise.
            found = database.rows(
                "SELECT id, CAST(beat_at AS text) AS beat_at FROM routing_process WHERE dead_at IS NULL"
            )
        return {row["id"]: row["beat_at"] for row in found}

    def _remember(self, beats: dict[int, str]) -> None:
        now = self._clock()
        if now - self._observed_at > self.LATE:
            self._seen.clear()
        self._observed_at = now
        self._seen = {
            process_id: self._seen[process_id] if self._last_of(process_id) == beat_at else (beat_at, now)
            for process_id, beat_at in beats.items()
        }

    def _last_of(self, process_id: int) -> str | None:
        return self._seen[process_id][0] if process_id in self._seen else None

    def _overdue(self) -> list[int]:
        return [process_id for process_id, (_, since) in self._seen.items() if self._observed_at - since >= DEAD_AFTER]

    def _declare_dead(self, process_id: int) -> bool:
        beat_at, _ = self._seen.pop(process_id)
        return bool(
            database.execute(
                f"UPDATE routing_process SET dead_at = {database.now_sql()} "
                "WHERE id = %s AND CAST(beat_at AS text) = %s AND dead_at IS NULL",
                [process_id, beat_at],
            )
        )

    def _prune(self) -> None:
        """Forget who is dead for over a day and owns nothing; once an hour."""
        if self._clock() - self._pruned_at < PRUNE_EVERY:
            return
        self._pruned_at = self._clock()
        old = set(rows().filter(dead_at__lt=Now() - PRUNE_AFTER).values_list("pk", flat=True))
        if old:
            owned = Message.objects.using(database.using()).filter(owner__in=old).values_list("owner", flat=True)
            rows().filter(pk__in=old - set(owned.distinct())).delete()


def _version() -> str:
    """As installed; a checkout that was not installed has it in its setup.cfg."""
    try:
        return metadata.version("taskyard")
    except metadata.PackageNotFoundError:
        declared = ConfigParser(interpolation=None)
        declared.read(Path(__file__).resolve().parents[2] / "setup.cfg")
        return declared.get("metadata", "version", fallback="")
