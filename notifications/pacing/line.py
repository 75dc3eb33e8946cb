"""Tells a delivery that cannot go now when to come back: each gets a place of its own, so that it comes about once."""

from notifications.pacing.gate_rows import relaxed_sql, seconds_sql
from routing.ledger import database

HORIZON = 3600.0
"""Seconds that the line is long at most. Who would have to wait longer asks again then: the limit may be another."""


def join(gate: str, *, lane: str, every: float, opens_in: float) -> float:
    """Seconds until its turn. The first place of an empty line is when the gate opens; the next, ``every`` later."""
    now = seconds_sql()
    (row,) = database.rows(
        f"""
        INSERT INTO notifications_line (gate_id, lane, end_at) VALUES (%(gate)s, %(lane)s, {now} + %(first)s)
        ON CONFLICT (gate_id, lane) DO UPDATE SET end_at = CASE
            WHEN notifications_line.end_at + %(every)s >= {now} + %(horizon)s THEN {now} + %(horizon)s
            WHEN notifications_line.end_at > excluded.end_at - %(every)s THEN notifications_line.end_at + %(every)s
            ELSE excluded.end_at
        END
        RETURNING end_at - {now} AS ahead {relaxed_sql()}
        """,
        {
            "gate": gate,
            "lane": lane,
            "every": every,
            "first": opens_in + every,
            "horizon": HORIZON + opens_in + every,
        },
    )
    return max(float(row["ahead"]) - every, 0.0)
