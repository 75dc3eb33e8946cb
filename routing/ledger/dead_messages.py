"""Dead messages: what the ledger makes of one that RabbitMQ gave up. Each is settled, given out again or kept, once."""

import json
import logging
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import uuid4

from celery import current_app, states
from django_celery_results.models import TaskResult

from routing import faults, sensitive
from routing.domains import Domain, registry
from routing.ledger import adoption, database, lookup, reschedule
from routing.ledger.enqueue import OUTCOMES, REPLACED
from routing.ledger.fingerprint import fingerprint
from routing.ledger.results import read_meta
from routing.ledger.settle import Fence
from routing.ledger.tables import DeadLetter, Message
from routing.masking import MASK
from routing.sealed_messages import sealed_body

logger = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds until what RabbitMQ gave up is published again: what made it do so may last."""
POISON = "It was started {runs} times and each time its process died, and now RabbitMQ has given it up."
CRASHED = "Its worker died while it ran, and it may not start twice. What it did is not known."
SHOWN = ("argsrepr", "kwargsrepr")
"""Headers that repeat the arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """As it came out of RabbitMQ. ``epoch`` is None where another program sent it; ``task_id`` may be empty.

    ``headers`` and ``properties`` are JSON as routing/ledger/typed.py has it. ``delivery`` is the same if, and only if,
    RabbitMQ gives the same message again.
    """

    task_id: str
    task: str
    epoch: int | None
    domain: str
    queue: str
    headers: str
    properties: str
    raw: bytes
    reason: str
    error: str
    source: str
    delivery: str
    redelivered: bool
    history: tuple[dict[str, Any], ...] = ()


class Fate(Enum):
    """What became of it. All of them let RabbitMQ forget it."""

    AGAIN = "published again"
    GIVEN_UP = "given up"
    KEPT = "kept as dead letters"
    KNOWN = "kept already"
    MOVED_ON = "of no use any more"


def receive(dead: DeadMessage) -> Fate:
    """Decide, and commit. Safe to call again with the same message, whoever did it before."""
    fate = _of_task(dead) if dead.task_id else None
    if fate is None:
        fate = Fate.KEPT if keep(dead) else Fate.KNOWN
    faults.point("dead.committed")
    return fate


def keep(dead: DeadMessage) -> bool:
    """As a dead letter. False if there is one of this message already."""
    with database.atomic():
        # Two relays may have got the message one after the other, and the first is not through with it.
        database.hold(f"dead letter {dead.task_id or dead.delivery}")
        is_known = _letters().filter(delivery=dead.delivery).exists()
        if (is_known and dead.redelivered) or (dead.task_id and _copy_is_open(dead)):
            return False
        # Else another program sent the very same bytes again: two, if nothing in them tells that they are one.
        delivery = f"{dead.delivery}:{uuid4().hex}" if is_known else dead.delivery
        _letters().create(**_columns(dead), delivery=delivery)
        faults.point("dead.kept")
    return True


def _of_task(dead: DeadMessage) -> Fate | None:
    """What becomes of a message by what the ledger knows of its task; None if it is to be kept."""
    # First what is in flight: a task that settles between the two looks is found by the second.
    message = lookup.in_flight(dead.task_id)
    if message is None:
        return Fate.MOVED_ON if _is_finished(dead.task_id) else None
    epoch = adoption.EPOCH if dead.epoch is None else dead.epoch
    if message.epoch != epoch or message.owner is not None or message.state == REPLACED:
        # A newer decision, or a worker: while that one lives, its task is its own; after that a relay gives it out.
        return Fate.MOVED_ON
    reason = _reason_to_give_up(message)
    if reason is not None:
        backend: Any = current_app.backend
        error = (CRASHED if reason == DeadLetter.Reason.CRASHED else POISON).format(runs=message.runs)
        won = backend.settle_unrun(message, status=states.FAILURE, reason=reason, error=error)
        return Fate.GIVEN_UP if won else Fate.MOVED_ON
    fence = Fence(task_id=dead.task_id, epoch=epoch)
    again = reschedule.release(fence, error=f"RabbitMQ gave it up: {dead.error}", delay=PAUSE)
    return Fate.AGAIN if again else Fate.MOVED_ON


def _reason_to_give_up(message: Message) -> str | None:
    """What the claim, too, would refuse to start once more."""
    domain = registry().of_task(message.task) or Domain
    if message.at_most_once and message.runs:
        return DeadLetter.Reason.CRASHED.value
    return DeadLetter.Reason.POISON.value if message.runs >= domain.run_limit else None


def _is_finished(task_id: str) -> bool:
    """Whether the ledger settled it. An unreadable message's failure is stored aside, for whoever waits for it."""
    rows = TaskResult.objects.using(database.using()).filter(task_id=task_id, status__in=OUTCOMES).only("meta")
    return any("domain" in read_meta(row) for row in rows)


def _copy_is_open(dead: DeadMessage) -> bool:
    """Whether another copy was kept, about which nobody has decided yet: the relays publish at least once."""
    copies = _letters().filter(task_id=dead.task_id, state=DeadLetter.State.OPEN)
    if dead.epoch is not None:
        return bool(copies.filter(reason=DeadLetter.Reason.LOST).exists())
    return any(letter.content == dead.raw for letter in copies.exclude(source=""))


def _columns(dead: DeadMessage) -> dict[str, Any]:
    is_lost = dead.epoch is not None
    reason, error = (DeadLetter.Reason.LOST.value, adoption.LOST) if is_lost else (dead.reason, dead.error)
    return {
        "task_id": dead.task_id,
        "task": dead.task,
        "domain": dead.domain,
        "queue": dead.queue,
        "headers": _headers(dead),
        "properties": dead.properties,
        "body": "",
        # Byte for byte, but for arguments that nobody shall read.
        "raw": sealed_body(dead.task, dead.raw),
        "reason": reason,
        "error": error,
        # What is unreadable differs in each message; what they have in common is where they came from.
        "fingerprint": fingerprint(task=dead.task or dead.queue, error=f"{reason}: {error}", traceback=None),
        "source": dead.source,
        "history": json.dumps(dead.history),
    }


def _headers(dead: DeadMessage) -> str:
    """Its program shows the arguments there once more, if it is one of Celery's kind."""
    if sensitive.of(dead.task) is None:
        return dead.headers
    headers = json.loads(dead.headers)
    return json.dumps({name: MASK if name in SHOWN else value for name, value in headers.items()})


def _letters() -> Any:
    return DeadLetter.objects.using(database.using())
