"""What nothing will ever move, or has not moved for longer than it should take: each with its cure."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from routing.domains import registry
from routing.ledger import database
from routing.ledger.chords import lost_chords
from routing.ledger.enqueue import REPLACED
from routing.ledger.overdue import overdue_tasks

GRACE = timedelta(minutes=1)
"""Relays put right what is younger."""
TOO_LONG = timedelta(minutes=5)
OVERTAKEN_BY = timedelta(hours=1)
_PAUSED = "SELECT queue FROM routing_queuepause WHERE resumed_at IS NULL"
KEYS_KEPT = timedelta(days=2)
"""The nightly clean-up removes keys whose period is over."""


@dataclass(frozen=True)
class Stuck:
    """``count`` things of one kind, one of them by its id; ``for_long`` where the oldest is older than TOO_LONG."""

    kind: str
    count: int
    example: str
    for_long: bool
    sentence: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def everything_stuck() -> list[Stuck]:
    """Reads only, and counts in the database. To compare it with other figures, read both in one snapshot."""
    now = database.now()
    return [
        *_dead_owners(now),
        *_overdue(now),
        *_unpublished(now),
        *_overtaken(now),
        *_unmoved(now),
        *_replaced(now),
        *_stray_publications(now),
        *_undeclared_queues(now),
        *_forgotten_keys(now),
        *_lost_chords(now),
    ]


def _dead_owners(now: datetime) -> Iterator[Stuck]:
    """Tasks whose worker died, and that no relay has given out again."""
    found = _groups(
        """
        SELECT m.id AS example, coalesce(p.dead_at, m.started_at) AS since FROM routing_message m
        LEFT JOIN routing_process p ON p.id = m.owner
        WHERE m.owner IS NOT NULL AND (p.id IS NULL OR p.dead_at IS NOT NULL)
        """,
        now - GRACE,
    )
    for group in found:
        yield _stuck(
            "dead owner",
            group,
            now,
            f"{_counted(group, 'task belongs to a worker that is', 'tasks belong to workers that are')} dead, and no "
            "relay has given out again what they ran. A relay does that within a minute; start one: manage.py relay",
        )


def _overdue(now: datetime) -> Iterator[Stuck]:
    """Tasks that their worker should have ended. The relays leave them alone: whoever owns them lives."""
    by_worker = defaultdict(list)
    for one in overdue_tasks(now):
        by_worker[one.worker, one.host, one.pid].append(one)
    for (worker, host, pid), found in by_worker.items():
        have = _counted({"count": len(found)}, "task has", "tasks have")
        yield Stuck(
            "overdue",
            len(found),
            found[0].task_id,
            True,
            f"{have} been running on {worker or 'a worker'} for longer than the hard time limit: its pool hangs, or is "
            "one of threads, which cannot end a task. See its log, then end it, so that a relay gives out again what "
            f"it runs: kill -KILL {pid} on {host}",
        )


def _unpublished(now: datetime) -> Iterator[Stuck]:
    # A delayed task could not be published before it was due; its publication's own time moves on with each failure.
    later = _later()
    found = _groups(
        f"""
        SELECT m.id AS example, {later}(m.created_at, m.due_at) AS since, o.queue, coalesce(o.reason, '') AS reason
        FROM routing_outbox o JOIN routing_message m ON m.id = o.message_id AND m.epoch = o.epoch
        WHERE o.failures > 0 AND o.queue NOT IN ({_PAUSED})
        """,
        now - GRACE,
        by=("queue", "reason"),
    )
    for group in found:
        reason = _first_line(group["reason"]) or "no reason was noted"
        tasks = _counted(group, "task", "tasks")
        sentence = f"{tasks} for {group['queue']} could not be published: {reason}. The relay goes on trying."
        yield _stuck("unpublished", group, now, sentence)


def _overtaken(now: datetime) -> Iterator[Stuck]:
    """Tasks that RabbitMQ should have, while it gives out others of their queue that became due much later."""
    # What has a priority may overtake.
    waits_since, seconds = _waits_since(), _out_of_turn().total_seconds()
    found = _groups(
        f"""
        SELECT m.id AS example, {waits_since} AS since, m.queue FROM routing_message m
        JOIN (
            SELECT queue, {_before("MAX(due_at)", seconds)} AS due_at FROM routing_message
            WHERE owner IS NOT NULL AND properties NOT LIKE '%%"priority"%%' GROUP BY queue
        ) AS running ON running.queue = m.queue
            AND running.due_at > {waits_since}
        LEFT JOIN routing_outbox o ON o.message_id = m.id AND o.epoch = m.epoch
        WHERE m.owner IS NULL AND m.state <> '{REPLACED}' AND o.id IS NULL AND m.queue NOT IN ({_PAUSED})
        """,
        now,
        by=("queue",),
    )
    for group in found:
        queue = group["queue"]
        domain = registry().of_queue(queue)
        dead_letters = domain.dead_letter_queue if domain else "the queue of its dead letters"
        yield _stuck(
            "overtaken",
            group,
            now,
            f"{_counted(group, 'task waits', 'tasks wait')} in {queue} while others that became due over an hour later "
            f"are being run; RabbitMQ has most likely dropped or dead-lettered the messages. Look into {dead_letters}, "
            f"and publish again what waits: {_publish_again(queue)}",
        )


def _unmoved(now: datetime) -> Iterator[Stuck]:
    """Tasks that RabbitMQ should have, in a queue of which nobody runs anything: nothing there could overtake them."""
    found = _groups(
        f"""
        SELECT m.id AS example, {_later()}({_waits_since()}, coalesce(p.resumed_at, m.due_at)) AS since, m.queue
        FROM routing_message m
        LEFT JOIN routing_outbox o ON o.message_id = m.id AND o.epoch = m.epoch
        LEFT JOIN routing_queuepause p ON p.queue = m.queue
        WHERE m.queue NOT IN ({_PAUSED}) AND m.owner IS NULL AND m.state <> '{REPLACED}' AND o.id IS NULL
            AND m.queue NOT IN (SELECT queue FROM routing_message WHERE owner IS NOT NULL)
        """,
        now - _out_of_turn(),
        by=("queue",),
    )
    for group in found:
        queue, have = group["queue"], _counted(group, "task has", "tasks have")
        yield _stuck(
            "unmoved",
            group,
            now,
            f"{have} waited in {queue} for over an hour, and nothing of that queue is being run. "
            "Either no pool serves it (manage.py status), or RabbitMQ does not have the messages; then publish "
            f"them again: {_publish_again(queue)}",
        )


def _waits_since() -> str:
    # What ran before and was given out again stands behind what was published meanwhile.
    return f"{_later()}(m.due_at, m.created_at, coalesce(m.started_at, m.due_at))"


def _out_of_turn() -> timedelta:
    # A worker may hold a message for as long as RabbitMQ lets it.
    return max(OVERTAKEN_BY, settings.TASKYARD_CONSUMER_TIMEOUT)


def _publish_again(queue: str) -> str:
    return f"manage.py redrive {queue}"


def _replaced(now: datetime) -> Iterator[Stuck]:
    """Tasks that a chain, group or chord replaced of which nothing is left that could come to an end."""
    found = _groups(
        f"""
        WITH waiting AS (
            SELECT id, coalesce(root_id, id) AS root_id, coalesce(started_at, created_at) AS since
            FROM routing_message WHERE state = '{REPLACED}'
        ), moving AS (
            SELECT root_id FROM routing_message
            WHERE state <> '{REPLACED}' AND root_id IN (SELECT root_id FROM waiting)
        )
        SELECT id AS example, since FROM waiting WHERE root_id NOT IN (SELECT root_id FROM moving)
        """,
        now - GRACE,
    )
    for group in found:
        yield _stuck(
            "replaced",
            group,
            now,
            f"{_counted(group, 'task was', 'tasks were')} replaced by others, of which none is in flight any more that "
            f"could end it, such as {group['example']}. Enqueue what it should have come to under its id (task_id=), "
            "or revoke it.",
        )


def _stray_publications(now: datetime) -> Iterator[Stuck]:
    """Publications of a task that is over, or of an older decision to run it."""
    found = _groups(
        f"""
        SELECT o.message_id AS example, o.due_at AS since FROM routing_outbox o
        LEFT JOIN routing_message m ON m.id = o.message_id AND m.epoch = o.epoch
        WHERE m.id IS NULL AND o.queue NOT IN ({_PAUSED})
        """,
        now - GRACE,
    )
    for group in found:
        yield _stuck(
            "stray publication",
            group,
            now,
            f"{_counted(group, 'publication leads', 'publications lead')} to no task. A relay sends them out, and "
            "workers discard them; start one: manage.py relay",
        )


def _undeclared_queues(now: datetime) -> Iterator[Stuck]:
    found = _groups("SELECT id AS example, created_at AS since, queue FROM routing_message", now, by=("queue",))
    for group in found:
        if group["queue"] not in registry().pools:
            yield _stuck(
                "undeclared queue",
                group,
                now,
                f"{_counted(group, 'task waits', 'tasks wait')} in {group['queue'] or 'no queue'}, which no domain "
                "declares. Declare it in project/domains.py again, or cancel them.",
            )


def _forgotten_keys(now: datetime) -> Iterator[Stuck]:
    """Unique keys whose task is over, and their period too. They are in nobody's way."""
    found = _groups(
        """
        SELECT k.key AS example, k.expires_at AS since FROM routing_uniquekey k
        LEFT JOIN routing_message m ON m.id = k.task_id WHERE m.id IS NULL
        """,
        now - KEYS_KEPT,
    )
    for group in found:
        yield Stuck(
            "forgotten key",
            group["count"],
            group["example"],
            False,
            f"{_counted(group, 'unique key is', 'unique keys are')} held by tasks that are over. Whoever wants such a "
            "key next gets it; the nightly clean-up removes those whose period is over: manage.py cleanup",
        )


def _lost_chords(now: datetime) -> Iterator[Stuck]:
    lost = lost_chords(now, after=GRACE)
    if lost:
        group = {"count": len(lost)}
        yield Stuck(
            "lost chord",
            len(lost),
            str(lost[-1]),
            bool(lost_chords(now, after=TOO_LONG)),
            f"{_counted(group, 'chord waits', 'chords wait')} for nothing: all members have ended, and the task that "
            "follows them was not enqueued. Enqueue it by hand; the clean-up forgets the chord after a day.",
        )


def _groups(sql: str, before: datetime, *, by: tuple[str, ...] = ()) -> list[database.Row]:
    """Of the rows that have been so since before then, or for nobody knows how long: how many, one id, since when."""
    columns = "".join(f"{column}, " for column in by)
    grouping = f"GROUP BY {', '.join(by)}" if by else ""
    found = database.rows(
        f"SELECT {columns} COUNT(*) AS count, MIN(example) AS example, MIN(since) AS since "
        f"FROM ({sql}) AS found WHERE since IS NULL OR since < %s {grouping}",
        [database.parameter(before)],
    )
    return [group for group in found if group["count"]]


def _later() -> str:
    """The function for the latest of several times."""
    return "greatest" if database.on_postgresql() else "max"


def _before(moment: str, seconds: float) -> str:
    if database.on_postgresql():
        return f"{moment} - make_interval(secs => {seconds})"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {moment}, '-{seconds} seconds')"


def _stuck(kind: str, group: database.Row, now: datetime, sentence: str) -> Stuck:
    since = database.moment(group["since"])
    return Stuck(kind, group["count"], group["example"], since is None or now - since > TOO_LONG, sentence)


def _counted(group: database.Row, one: str, many: str) -> str:
    return f"{group['count']:,} {one if group['count'] == 1 else many}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200].rstrip(".")
