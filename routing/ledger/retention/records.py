"""Records: what a clean-up removed, written down by the transaction that removes it."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from routing.ledger import database
from routing.ledger.cleanup_tables import Cleanup, Removal
from routing.ledger.retention import policy
from routing.ledger.retention.kinds import Counts, What

WHOLE_EVERY = timedelta(days=7)
"""What a shorter clean-up passed over, since it was held or came with an old date, goes within that time."""
MARGIN = timedelta(days=1)


@dataclass(frozen=True)
class Told:
    """A clean-up that ran, or is running."""

    cleanup: Cleanup
    removed: Counts


def begin(now: datetime, *, since: datetime | None) -> int:
    record = Cleanup.objects.using(database.using()).create(as_of=now, policy=_policy(), whole=since is None)
    return int(record.pk)


def add(record: int, removed: Counts) -> None:
    """Within the transaction that removes. Nobody else writes to this clean-up's rows."""
    rows = [[record, what.kind, what.domain, what.outcome, count] for what, count in removed.items() if count]
    if rows:
        values = ", ".join(["(%s, %s, %s, %s, %s)"] * len(rows))
        database.execute(
            f"INSERT INTO routing_removal AS known (cleanup_id, kind, domain, outcome, count) VALUES {values} "
            "ON CONFLICT (cleanup_id, kind, domain, outcome) DO UPDATE SET count = known.count + excluded.count",
            [value for row in rows for value in row],
        )


def end(record: int, *, complete: bool) -> None:
    rows = Cleanup.objects.using(database.using()).filter(pk=record)
    rows.update(ended_at=database.now(), complete=complete)


def last_complete(now: datetime) -> datetime | None:
    """The moment up to which payloads need not be looked for again; None where all have to be looked through."""
    done = Cleanup.objects.using(database.using()).filter(complete=True, policy=_policy(), as_of__lte=now)
    if not done.filter(whole=True, as_of__gt=now - WHOLE_EVERY).exists():
        return None
    found: datetime = done.latest("as_of").as_of
    return found - MARGIN


def latest(count: int) -> list[Told]:
    """The newest first."""
    cleanups = list(Cleanup.objects.using(database.using()).order_by("-pk")[:count])
    removed: dict[int, Counts] = {cleanup.pk: Counter() for cleanup in cleanups}
    for row in Removal.objects.using(database.using()).filter(cleanup__in=cleanups):
        removed[row.cleanup_id][What(row.kind, row.domain, row.outcome)] = row.count
    return [Told(cleanup, removed[cleanup.pk]) for cleanup in cleanups]


def _policy() -> str:
    rules = [
        [rule.domain, rule.outcome, rule.age.total_seconds(), rule.until and rule.until.total_seconds()]
        for rules in (policy.of_results(), policy.of_payloads())
        for age in rules.values()
        for rule in age
    ]
    return hashlib.sha256(json.dumps([policy.patterns(), rules]).encode()).hexdigest()[:32]
