"""Cancel: a task in flight is REVOKED from now on, in one transaction, whoever is off; what runs may be ended too.

What has not begun never runs. What runs is REVOKED all the same: what its body comes to is discarded, with its retry
and all that would follow. With ``terminate`` an order to end it is written together with that
(routing/ledger/terminations.py), which its worker finds however little it hears of the broker.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from signal import Signals
from typing import Any

from celery import current_app, states
from django.db import DatabaseError
from django_celery_results.models import TaskResult

from routing import faults
from routing.ledger import database, lookup, terminations
from routing.ledger.enqueue import OUTCOMES
from routing.ledger.patience import until_reachable
from routing.ledger.settle import settle_many
from routing.ledger.tables import Message
from routing.ledger.unpublishing import unpublish

logger = logging.getLogger(__name__)

REASON = "revoked"
TOGETHER = 50
"""Tasks of one transaction; their bodies are in memory together."""


class Fate(StrEnum):
    CANCELLED = "cancelled"
    ENDING = "cancelled while running, being ended"
    RUNS_ON = "cancelled while running, runs on for nothing"
    RUNNING = "running, not to run again"
    FINISHED = "already finished"
    UNKNOWN = "not known"
    FAILED = "cannot be cancelled, the log says why"

    @property
    def is_cancelled(self) -> bool:
        return self in (Fate.CANCELLED, Fate.ENDING, Fate.RUNS_ON)


@dataclass(frozen=True, kw_only=True)
class Order:
    """Who cancels and why, which the result tells. ``signal`` ends what runs; without one it runs on.

    ``spares_running``: as Celery's plain ``revoke``, which lets what has begun come to its end, but not run again.
    """

    by: str
    note: str = ""
    signal: str | None = None
    spares_running: bool = False

    def about(self, message: Message) -> dict[str, Any]:
        told = {"by": self.by, "note": self.note, "ran": message.owner is not None}
        return {name: value for name, value in told.items() if value}


def cancel(task_id: str, order: Order) -> Fate:
    """Exactly one outcome, whatever else happens to it meanwhile. Safe to call again."""
    # Lost only to somebody who has changed the row since it was read: then it is read again.
    while message := lookup.in_flight(task_id):
        if order.spares_running and message.owner is not None:
            terminations.forbid(task_id, owner=message.owner, by=order.by)
            return Fate.RUNNING
        if fate := until_reachable(lambda: _alone(message, order)):
            return fate
    recorded = TaskResult.objects.using(database.using()).filter(task_id=task_id, status__in=OUTCOMES)
    return Fate.FINISHED if recorded.exists() else Fate.UNKNOWN


def cancel_many(task_ids: Sequence[str], order: Order) -> Mapping[str, int]:
    """How many came to which fate. A few at a time in memory and in one transaction. Safe to call again."""
    fates: Counter[str] = Counter()
    for start in range(0, len(task_ids), TOGETHER):
        ids = task_ids[start : start + TOGETHER]
        done = _most_of(ids, order)
        # What hangs together with others, or was changed meanwhile, one by one.
        fates.update(done.values())
        fates.update(_tolerantly(one, order) for one in ids if one not in done)
    return fates


def signal_named(name: object) -> str:
    """``TERM`` for SIGTERM, TERM, 15 or nothing. Raises ValueError."""
    try:
        found = (
            Signals(name) if isinstance(name, int) else Signals[f"SIG{str(name or 'TERM').upper().removeprefix('SIG')}"]
        )
    except (KeyError, ValueError):
        raise ValueError(f"{name!r} is no signal. Use TERM, INT, QUIT or KILL.") from None
    return found.name.removeprefix("SIG")


def _most_of(task_ids: Sequence[str], order: Order) -> Mapping[str, Fate]:
    try:
        return until_reachable(lambda: _together(task_ids, order))
    except DatabaseError:
        logger.exception("These are cancelled one by one, as one of them cannot be")
        return {}


def _tolerantly(task_id: str, order: Order) -> Fate:
    """Whatever is wrong with one task, the others are not to wait for it."""
    try:
        return cancel(task_id, order)
    except DatabaseError:
        logger.exception("%s cannot be cancelled; it stays as it is", task_id, extra={"task_id": task_id})
        return Fate.FAILED


def _together(task_ids: Sequence[str], order: Order) -> dict[str, Fate]:
    """Of those on which nothing else hangs, in a few statements. Who is not in it, is to be cancelled alone."""
    backend: Any = current_app.backend
    with database.atomic():
        # In order of their ids, so that two who cancel the same do not wait for one another.
        found = [one for one in lookup.messages().filter(pk__in=task_ids).order_by("pk") if not _is_part_of_more(one)]
        revoked = [backend.revocation(one, reason=REASON, about=order.about(one)) for one in found]
        won = settle_many(revoked)
        done = [one for one in found if one.id in won]
        unpublish(done)
        fates = {one.id: _fate(one, order) for one in done}
        faults.point("cancel.written")
    faults.point("cancel.committed")
    return fates


def _is_part_of_more(message: Message) -> bool:
    """Whether others wait for it: chords count in a row of their own, which is held until the transaction ends."""
    embedded = lookup.embedded(message.body)
    return bool(embedded.get("chord") or embedded.get("chain"))


def _alone(message: Message, order: Order) -> Fate | None:
    with database.atomic():
        fate = _settle(message, order)
        faults.point("cancel.written")
    faults.point("cancel.committed")
    return fate


def _settle(message: Message, order: Order) -> Fate | None:
    """None if its row has changed since it was read: nothing is written then."""
    backend: Any = current_app.backend
    about = order.about(message)
    if not backend.settle_unrun(message, status=states.REVOKED, reason=REASON, error=REASON, about=about):
        return None
    unpublish([message])
    return _fate(message, order)


def _fate(message: Message, order: Order) -> Fate:
    """Of one that is settled."""
    if message.owner is None:
        return Fate.CANCELLED
    if order.signal is None:
        return Fate.RUNS_ON
    terminations.ask(message.id, owner=message.owner, pid=message.pid, signal=order.signal)
    return Fate.ENDING
