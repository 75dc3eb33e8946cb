"""Claim: a worker's leave to run a task's body."""

from dataclasses import dataclass
from enum import Enum

from routing.domains import Domain
from routing.ledger import database, functions
from routing.ledger.enqueue import OUTCOMES, REPLACED


@dataclass(frozen=True, slots=True)
class Claim:
    """``runs`` counts the bodies started for this attempt, this one included."""

    runs: int


class Refusal(Enum):
    """Why a message is not run."""

    FINISHED = "its outcome is recorded"
    STALE = "it is an older copy"
    OWNED = "a living worker runs it"
    EXPIRED = "it came too late"
    STARTED_ONCE = "it may not start twice, and its first run ended with its worker"
    POISON = "it keeps ending with the process that runs it"
    UNKNOWN = "neither ledger nor results know it"


def claim(
    task_id: str, *, epoch: int, owner: int, pid: int, run_limit: int = Domain.run_limit, durable: bool = False
) -> Claim | Refusal:
    """Make the message this worker's, if its epoch is the current one and nobody living runs it.

    Safe to call again by a process that is not at work on the task: what this very process owns was claimed by a
    statement whose answer was lost, and its body has not begun.

    Commits asynchronously unless ``durable``: a database that loses the claim in a crash lets the settlement of an
    unowned row through, and the broker still holds the message for this worker. A task that may start only once
    cannot afford that.
    """
    if database.on_postgresql():
        values = [task_id, epoch, owner, pid, run_limit]
        runs = functions.call("taskyard_claim_1", values, relaxed=not durable)
    else:
        runs = _on_sqlite(task_id, epoch, owner, pid, run_limit)
    return _refusal(task_id, epoch, run_limit) if runs is None else Claim(runs)


def _on_sqlite(task_id: str, epoch: int, owner: int, pid: int, run_limit: int) -> int | None:
    now = database.now_sql()
    mine = "(owner = %s AND pid = %s)"
    claimed = database.rows(
        f"""
        UPDATE routing_message
        SET owner = %s, pid = %s, started_at = {now}, state = 'STARTED', progress = NULL,
            runs = CASE WHEN {mine} THEN runs ELSE runs + 1 END
        WHERE id = %s AND epoch = %s AND state <> '{REPLACED}'
            AND ({mine} OR (
                (owner IS NULL OR NOT EXISTS (
                    SELECT 1 FROM routing_process AS process WHERE process.id = owner AND process.dead_at IS NULL
                )) AND runs < CASE WHEN at_most_once THEN 1 ELSE %s END
                AND (expires_at IS NULL OR expires_at > {now})
            ))
            AND NOT EXISTS (
                SELECT 1 FROM django_celery_results_taskresult WHERE task_id = %s AND status IN {OUTCOMES}
            )
        RETURNING runs
        """,
        [owner, pid, owner, pid, task_id, epoch, owner, pid, run_limit, task_id],
    )
    return claimed[0]["runs"] if claimed else None


def make_durable() -> None:
    """Have what others have committed on the disk, as the claim that an answer was built on: it may be not there yet.

    For a copy that is refused because another worker runs the task, and is about to be acked: were that claim forgotten
    in a crash, and its worker to die, neither ledger nor broker would have the task run again.
    """
    if database.on_postgresql():
        # A transaction that writes: only such a one waits for the disk.
        database.rows("SELECT pg_logical_emit_message(true, 'taskyard', '')")


def drop_doubled(task_id: str) -> bool:
    """Remove a message that was enqueued while its id's outcome was being recorded. Whether there was one."""
    with database.atomic():
        doubled = database.rows(
            f"""
            DELETE FROM routing_message WHERE id = %s AND owner IS NULL AND EXISTS (
                SELECT 1 FROM django_celery_results_taskresult WHERE task_id = %s AND status IN {OUTCOMES}
            ) RETURNING domain
            """,
            [task_id, task_id],
        )
        for row in doubled:
            database.execute(
                "INSERT INTO routing_tally (domain, accepted, finished, pruned) VALUES (%s, 0, 1, 1)", [row["domain"]]
            )
    return bool(doubled)


def _refusal(task_id: str, epoch: int, run_limit: int) -> Refusal:
    found = database.rows(
        f"""
        SELECT epoch, runs, at_most_once AND runs > 0 AS started_once,
            owner IS NOT NULL AND EXISTS (
                SELECT 1 FROM routing_process AS process WHERE process.id = owner AND process.dead_at IS NULL
            ) AS is_owned,
            expires_at IS NOT NULL AND expires_at <= {database.now_sql()} AS has_expired
        FROM routing_message WHERE id = %s
        """,
        [task_id],
    )
    # After the message: a task that settles between the two looks is found by the second.
    if _has_outcome(task_id):
        return Refusal.FINISHED
    if not found:
        return Refusal.UNKNOWN
    row = found[0]
    if row["epoch"] != epoch:
        return Refusal.STALE
    if row["is_owned"]:
        return Refusal.OWNED
    if row["has_expired"]:
        return Refusal.EXPIRED
    if row["started_once"]:
        return Refusal.STARTED_ONCE
    # Else its owner was declared dead between the two looks, and a relay is about to give it a new epoch.
    return Refusal.POISON if row["runs"] >= run_limit else Refusal.STALE


def _has_outcome(task_id: str) -> bool:
    return bool(
        database.rows(
            f"SELECT 1 FROM django_celery_results_taskresult WHERE task_id = %s AND status IN {OUTCOMES}",
            [task_id],
        )
    )
