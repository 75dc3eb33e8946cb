"""Takes a token of each limit that a delivery has to keep, or of none: one statement, by the database's clock.

A gate's ``next_at`` moves on by one interval with each token (a generic cell rate algorithm). So a rate is kept
however many processes ask, and what dies with a token in its hand costs that token and no more.
"""

from collections.abc import Sequence
from typing import Any

from notifications.pacing.gate_rows import relaxed_sql, seconds_sql
from notifications.pacing.limits import Limit
from routing.ledger import database

IN_PLACE = 0.03
"""Seconds that are waited for in place: to come back later would cost more."""


def take(limits: Sequence[Limit], *, lane: str) -> float | None:
    """Seconds to wait before the delivery goes. None where it is not its turn: nothing is taken then.

    What no pace explains, because the clock was put back or the limit was raised, counts for nothing: see ``_far``.
    """
    early = {limit.name: limit.early(lane) for limit in limits}
    every = {limit.name: limit.every for limit in limits}
    values: list[Any] = []
    for limit in limits:
        values += [limit.name, limit.every, early[limit.name] + IN_PLACE, _far(limit)]
    found = database.rows(_sql(len(limits)), values)
    if not found:
        return None
    return max(0.0, *(float(row["ahead"]) - every[row["name"]] - early[row["name"]] for row in found))


def opens_in(limit: Limit, ahead: float, *, lane: str) -> float:
    """Seconds until ``take`` may succeed; 0 where it may now."""
    seconds = ahead - limit.early(lane)
    return 0.0 if seconds <= IN_PLACE or ahead > _far(limit) else seconds


def _far(limit: Limit) -> float:
    """Seconds ahead that a gate never is by its own pace."""
    return limit.early("urgent") + IN_PLACE + limit.every + 1


def _sql(count: int) -> str:
    wanted = ", ".join(["(%s, %s, %s, %s)"] * count)
    # In one order, so that no two wait for each other.
    lock = "ORDER BY gate.name FOR UPDATE OF gate" if database.on_postgresql() else ""
    return f"""
        WITH wanted (name, every, early, far) AS (VALUES {wanted}),
        held AS MATERIALIZED (
            SELECT gate.name, gate.next_at, every, early, far
            FROM notifications_gate AS gate JOIN wanted ON wanted.name = gate.name {lock}
        ),
        judged AS MATERIALIZED (
            SELECT name, every, seconds AS now, next_at > seconds + early AND next_at <= seconds + far AS is_closed,
                CASE WHEN next_at > seconds AND next_at <= seconds + far THEN next_at ELSE seconds END AS next_at
            FROM (SELECT held.*, {seconds_sql()} AS seconds FROM held) AS timed
        )
        UPDATE notifications_gate SET next_at = judged.next_at + judged.every
        FROM judged
        WHERE notifications_gate.name = judged.name
            AND (SELECT count(*) FROM judged WHERE NOT is_closed) = {count}
        RETURNING notifications_gate.name, notifications_gate.next_at - {seconds_sql()} AS ahead {relaxed_sql()}
    """
