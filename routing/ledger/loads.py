"""What the ledger has of each queue: how many wait in it to be published, how many run, how many are out."""

from dataclasses import dataclass

from routing.ledger import database
from routing.ledger.enqueue import REPLACED


@dataclass(frozen=True, kw_only=True)
class Load:
    """``waiting`` in the ledger, those not due yet included; ``running``; ``out``: in RabbitMQ, or held by a worker."""

    waiting: int = 0
    running: int = 0
    out: int = 0

    def held(self, ready: int) -> int:
        """What workers run, and what they have taken ahead. The two are not counted at one moment."""
        return max(self.running + self.out - ready, 0)


def loads() -> dict[str, Load]:
    """By queue. Reads every message in flight."""
    waiting = _counts("SELECT queue, COUNT(*) AS count FROM routing_outbox GROUP BY queue")
    found = database.rows(
        "SELECT queue, COUNT(*) AS total, COUNT(owner) AS running FROM routing_message "
        f"WHERE state <> '{REPLACED}' GROUP BY queue"
    )
    loads = {queue: Load(waiting=count) for queue, count in waiting.items()}
    for row in found:
        queue, running = row["queue"], row["running"]
        in_ledger = waiting.get(queue, 0)
        loads[queue] = Load(waiting=in_ledger, running=running, out=max(row["total"] - running - in_ledger, 0))
    return loads


def _counts(sql: str) -> dict[str, int]:
    return {row["queue"]: row["count"] for row in database.rows(sql)}
