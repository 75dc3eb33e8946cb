"""The ledger in figures, as of one moment: what is in flight in each queue, and the books of it.

It reads what is in flight, the tally and open dead letters, and no results: of those there may be millions.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from routing.ledger import database, tally
from routing.ledger.enqueue import REPLACED
from routing.ledger.loads import Load
from routing.ledger.snapshot import one_moment
from routing.ledger.tables import DeadLetter
from routing.ledger.tally import Books


@dataclass(frozen=True)
class Line:
    """``wait``: seconds for which the longest-waiting task that is due has not begun. ``lag``: of a publication.

    ``due`` and ``later``: how many have not begun though they may, and how many have their time still to come.
    """

    load: Load
    wait: float = 0.0
    lag: float = 0.0
    due: int = 0
    later: int = 0


@dataclass(frozen=True)
class Figures:
    queues: Mapping[str, Line]
    books: Mapping[str, Books]
    in_flight: Mapping[str, int]
    """By domain."""
    dead_letters: Mapping[str, int]
    """Open ones, by domain."""

    def difference(self, domain: str) -> int:
        """Tasks that should be in flight and are not; below zero, more are there than were accepted."""
        books = self.books.get(domain, Books())
        return books.accepted - books.finished - self.in_flight.get(domain, 0)

    @property
    def differences(self) -> dict[str, int]:
        """Of those domains whose books do not balance."""
        known = {domain: self.difference(domain) for domain in {*self.books, *self.in_flight}}
        return {domain: known[domain] for domain in sorted(known) if known[domain]}


def read() -> Figures:
    """Raises what the database raises."""
    with one_moment():
        now, books, outbox = database.now(), tally.books(), _outbox()
        messages = _messages(now)
        dead = database.rows(
            "SELECT domain, COUNT(*) AS count FROM routing_deadletter WHERE state = %s GROUP BY domain",
            [DeadLetter.State.OPEN.value],
        )
    in_flight: Counter[str] = Counter()
    for row in messages:
        in_flight[row["domain"]] += row["total"]
    return Figures(_lines(messages, outbox, now), books, in_flight, {row["domain"]: row["count"] for row in dead})


def _messages(now: datetime) -> list[database.Row]:
    return database.rows(
        f"""
        SELECT domain, queue, COUNT(*) AS total, COUNT(owner) AS running,
            COUNT(*) FILTER (WHERE state = '{REPLACED}') AS replaced,
            COUNT(*) FILTER (WHERE owner IS NULL AND state <> '{REPLACED}' AND due_at > %s) AS later,
            MIN(due_at) FILTER (WHERE owner IS NULL AND state <> '{REPLACED}') AS earliest
        FROM routing_message GROUP BY domain, queue
        """,
        [database.parameter(now)],
    )


def _outbox() -> dict[str, database.Row]:
    rows = database.rows("SELECT queue, COUNT(*) AS count, MIN(due_at) AS earliest FROM routing_outbox GROUP BY queue")
    return {row["queue"]: row for row in rows}


def _lines(messages: list[database.Row], outbox: Mapping[str, database.Row], now: datetime) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    queues = {row["queue"] for row in messages} | outbox.keys()
    for queue in queues:
        # What was sent to a queue of another domain than its task's is in two rows.
        own = [row for row in messages if row["queue"] == queue]
        total = sum(row["total"] - row["replaced"] for row in own)
        running = sum(row["running"] for row in own)
        in_ledger = outbox.get(queue, {"count": 0, "earliest": None})
        load = Load(waiting=in_ledger["count"], running=running, out=max(total - running - in_ledger["count"], 0))
        wait = max((_seconds_since(row["earliest"], now) for row in own), default=0.0)
        later = sum(row["later"] for row in own)
        lag = _seconds_since(in_ledger["earliest"], now)
        lines[queue] = Line(load, wait, lag, due=max(total - running - later, 0), later=later)
    return lines


def _seconds_since(stored: str | datetime | None, now: datetime) -> float:
    """Zero for what is still to come."""
    moment = database.moment(stored)
    return max((now - moment).total_seconds(), 0.0) if moment else 0.0
