"""The queues that this ledger has had declared, and what is in flight in each.

RabbitMQ tells nobody which queues it has. So the ledger remembers, or a lane that is taken out of the code would leave
its queue behind, unseen.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from routing.ledger import database, redrive
from routing.ledger.tables import DeclaredQueue

HELD_FOR = 30
"""Seconds after which a queue is everybody's again, though its apply never said so: it was killed."""


def remember(names: Iterable[str]) -> None:
    """Safe to call again."""
    known_now = known()
    new = [DeclaredQueue(name=name) for name in dict.fromkeys(names) if name not in known_now]
    if new:
        _rows().bulk_create(new, ignore_conflicts=True)


def known() -> set[str]:
    return set(_rows().values_list("name", flat=True))


def forget(name: str) -> None:
    _rows().filter(name=name).delete()


def hold(name: str, holder: str) -> bool:
    """For HELD_FOR from now on, workers let go of this queue, and nobody else declares it. False if another holds it.

    Safe to call again, and to be called again in time.
    """
    remember([name])
    return bool(
        database.execute(
            f"UPDATE routing_declaredqueue SET holder = %s, held_at = {database.now_sql()} "
            f"WHERE name = %s AND (holder = %s OR held_at IS NULL OR held_at <= {database.later_sql()})",
            [holder, name, holder, -HELD_FOR],
        )
    )


def let_go(name: str, holder: str) -> None:
    _rows().filter(name=name, holder=holder).update(holder="", held_at=None)


def held() -> set[str]:
    """The queues that a running apply keeps to itself."""
    found = database.rows(f"SELECT name FROM routing_declaredqueue WHERE held_at > {database.later_sql()}", [-HELD_FOR])
    return {row["name"] for row in found}


def in_flight() -> dict[str, int]:
    """How many tasks each queue has, those to be published included. Reads every message in flight."""
    found = database.rows(
        """
        SELECT queue, sum(tasks) AS tasks FROM (
            SELECT queue, count(*) AS tasks FROM routing_message GROUP BY queue
            UNION ALL SELECT DISTINCT queue, 0 FROM routing_outbox
        ) AS counted GROUP BY queue
        """
    )
    return {row["queue"]: int(row["tasks"]) for row in found}


def task_names(queue: str) -> list[str]:
    """Of all that is in flight there."""
    found = database.rows("SELECT DISTINCT task FROM routing_message WHERE queue = %s ORDER BY task", [queue])
    return [row["task"] for row in found]


def known_tasks(ids: Iterable[str]) -> set[str]:
    """Those of the ids that are in flight or have a result."""
    wanted = list(ids)
    if not wanted:
        return set()
    places = ", ".join(["%s"] * len(wanted))
    found = database.rows(
        f"SELECT id FROM routing_message WHERE id IN ({places}) "
        f"UNION SELECT task_id FROM django_celery_results_taskresult WHERE task_id IN ({places})",
        [*wanted, *wanted],
    )
    return {row["id"] for row in found}


def move(queue: str, targets: Mapping[str, str]) -> int:
    """Have what is in flight in a queue that is gone run from others, by task name. Returns how many that were.

    What RabbitMQ had of it is published again, under a new epoch. What a worker runs goes on, and is only noted down
    elsewhere; where it holds its row just now, it is left for the next time. Each stays in the books of its domain.
    Safe to call again.
    """
    redrive.after_loss([queue])
    moved = 0
    # A relay may have had a publication of it in hand, and have got it back meanwhile.
    while (changed := _move(queue, targets)) + _publications_follow(queue):
        moved += changed
    return moved


def _move(queue: str, targets: Mapping[str, str]) -> int:
    return sum(_move_task(queue, task, target) for task, target in targets.items())


def _move_task(queue: str, task: str, target: str) -> int:
    passing_over = "FOR UPDATE SKIP LOCKED" if database.on_postgresql() else ""
    return database.execute(
        "UPDATE routing_message SET queue = %s WHERE id IN "
        f"(SELECT id FROM routing_message WHERE queue = %s AND task = %s {passing_over})",
        [target, queue, task],
    )


def _publications_follow(queue: str) -> int:
    return database.execute(
        """
        UPDATE routing_outbox SET queue = (SELECT m.queue FROM routing_message AS m WHERE m.id = message_id)
        WHERE queue = %s AND EXISTS (SELECT 1 FROM routing_message AS m WHERE m.id = message_id AND m.queue <> %s)
        """,
        [queue, queue],
    )


def _rows() -> Any:
    return DeclaredQueue.objects.using(database.using())
