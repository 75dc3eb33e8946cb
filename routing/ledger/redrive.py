"""Re-drive: publish again, under a new epoch, what a dead owner left or the broker is proved to have lost.

Evidence only. RabbitMQ's own count of a queue leaves out what workers hold, so nothing is concluded from it. Safe to
call again, and from several processes at once: each change holds only for the epoch and owner that were seen.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from celery import states

from routing import faults
from routing.domains import Domain, registry
from routing.ledger import database, marker, unrun
from routing.ledger.enqueue import REPLACED
from routing.ledger.tables import DeadLetter, Message

logger = logging.getLogger(__name__)

BATCH = 5_000
GIVEN_UP_AT_ONCE = 1_000
"""What ``of_dead_owners`` gives up before it returns: each is a settlement of its own."""
NO_LIMIT = 2**31 - 1
IN_MEMORY = 50
"""Rows whose bodies are in memory together."""

_OWNER_IS_DEAD = """
    m.owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM routing_process AS p WHERE p.id = m.owner AND p.dead_at IS NULL)
"""


def after_loss(queues: Iterable[str] | None = None) -> int:
    """Publish again what RabbitMQ is proved to have lost from these queues, or from all of them. Returns how many.

    Call it before the queues are declared again: a crash in between leaves the evidence, and it is done once more.
    """
    names = None if queues is None else list(queues)
    if names == []:
        return 0
    with database.atomic():
        marker.record_loss()
    # No batch from before that moment commits from here on, so a message without a publication was on the broker.
    # What a worker owns is not lost while that worker lives; what a dead one owns is of_dead_owners' to decide on.
    within = "" if names is None else f" AND m.queue IN ({', '.join(['%s'] * len(names))})"
    count = _publish_anew(f"m.owner IS NULL{within}", names or [])
    faults.point("redrive.marked")
    # On a broker that is new nothing was lost.
    logger.log(
        logging.WARNING if count else logging.INFO,
        "RabbitMQ does not have what was in %s; %d tasks are published again",
        "its queues" if names is None else ", ".join(names),
        count,
    )
    return count


def of_dead_owners() -> int:
    """Give out again what dead processes own, except what may not start again. Returns how many rows changed.

    Reads every message in flight: an index on the owner would cost each claim more than this costs a relay.
    """
    tasks = [
        row["task"] for row in database.rows(f"SELECT DISTINCT m.task FROM routing_message m WHERE {_OWNER_IS_DEAD}")
    ]
    if not tasks:
        return 0
    exhausted, limits = _exhausted(tasks)
    settled = sum(_settle(message) for message in _messages(f"{_OWNER_IS_DEAD} AND {exhausted}", limits))
    # What may not start again but could not be settled just now waits for the next time.
    again = _publish_anew(f"{_OWNER_IS_DEAD} AND NOT {exhausted}", limits, passing_over=_passing_over())
    if settled or again:
        logger.warning("Of dead processes' tasks, %d are published again and %d are given up", again, settled)
    return settled + again


def _passing_over() -> str:
    """What somebody holds is left for the next time: a worker that stands still in an atomic task, or whose machine
    is gone, may hold its row for hours. What is lost with the broker cannot be left: nothing would find it again.
    """
    return "FOR UPDATE OF m SKIP LOCKED" if database.on_postgresql() else ""


def _publish_anew(condition: str, values: Sequence[Any], *, passing_over: str = "") -> int:
    """In order of their ids, a batch and a transaction at a time, without their bodies."""
    count, last = 0, ""
    while True:
        with database.atomic():
            seen = _unpublished(condition, values, last, passing_over)
            count += _again_on_postgresql(seen) if database.on_postgresql() else sum(map(_again_on_sqlite, seen))
        if len(seen) < BATCH:
            return count
        last = seen[-1]["id"]


def _unpublished(condition: str, values: Sequence[Any], last: str, passing_over: str) -> list[database.Row]:
    """Messages after this id for which the condition holds, and that no relay is about to publish."""
    return database.rows(
        f"""
        SELECT m.id, m.epoch, m.owner FROM routing_message AS m
        WHERE {condition} AND m.id > %s AND m.state <> '{REPLACED}' AND NOT EXISTS (
            SELECT 1 FROM routing_outbox AS o WHERE o.message_id = m.id AND o.epoch = m.epoch
        )
        ORDER BY m.id LIMIT {BATCH} {passing_over}
        """,
        [*values, last],
    )


_RESET = (
    "epoch = epoch + 1, owner = NULL, pid = NULL, unknown_since = NULL, "
    "state = CASE WHEN attempt > 1 THEN 'RETRY' ELSE 'PENDING' END"
)


def _again_on_postgresql(seen: Sequence[database.Row]) -> int:
    columns = [[row[name] for row in seen] for name in ("id", "epoch", "owner")]
    return database.execute(
        f"""
        WITH seen AS (
            SELECT * FROM unnest(%s::text[], %s::int[], %s::bigint[]) AS s(seen_id, seen_epoch, seen_owner)
        ), again AS (
            UPDATE routing_message SET {_RESET} FROM seen
            WHERE id = seen_id AND epoch = seen_epoch AND owner IS NOT DISTINCT FROM seen_owner
            RETURNING id, epoch, queue, due_at
        )
        INSERT INTO routing_outbox (message_id, epoch, queue, due_at, failures)
        SELECT id, epoch, queue, due_at, 0 FROM again
        """,
        columns,
    )


def _again_on_sqlite(row: database.Row) -> int:
    again = database.rows(
        f"UPDATE routing_message SET {_RESET} WHERE id = %s AND epoch = %s AND owner IS %s "
        "RETURNING id, epoch, queue, due_at",
        [row["id"], row["epoch"], row["owner"]],
    )
    for message in again:
        database.execute(
            "INSERT INTO routing_outbox (message_id, epoch, queue, due_at, failures) VALUES (%s, %s, %s, %s, 0)",
            [message["id"], message["epoch"], message["queue"], message["due_at"]],
        )
    return len(again)


def _exhausted(tasks: Sequence[str]) -> tuple[str, list[Any]]:
    """What may not start again: tasks that start at most once, and those that keep ending with their workers.

    By the domain that claims the task now, as its next claim goes by: the row's is the one that accepted it.
    """
    limits: list[Any] = [value for task in tasks for value in (task, (registry().of_task(task) or Domain).run_limit)]
    # A task that was not among them when they were listed is published again, and its claim decides.
    return f"(m.at_most_once OR m.runs >= CASE m.task {'WHEN %s THEN %s ' * len(tasks)} ELSE {NO_LIMIT} END)", limits


def _messages(condition: str, values: Sequence[Any]) -> Iterator[Message]:
    """Whole rows, a few at a time in memory."""
    found = database.rows(
        f"SELECT m.id, m.epoch, m.owner FROM routing_message AS m WHERE {condition} ORDER BY m.id LIMIT {BATCH} "
        f"{_passing_over()}",
        values,
    )
    for start in range(0, len(found), IN_MEMORY):
        seen = {row["id"]: (row["epoch"], row["owner"]) for row in found[start : start + IN_MEMORY]}
        for message in Message.objects.using(database.using()).filter(pk__in=seen):
            if (message.epoch, message.owner) == seen[message.pk]:
                yield message


def _settle(message: Message) -> bool:
    if message.at_most_once:
        reason = DeadLetter.Reason.CRASHED
        error = "The worker that ran it died, and it may not start twice."
    else:
        reason = DeadLetter.Reason.POISON
        error = f"Its worker died each of the {message.runs} times it ran: it is not run again."
    return unrun.settle(message, status=states.FAILURE, reason=reason.value, error=error)
