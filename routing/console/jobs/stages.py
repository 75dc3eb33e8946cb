"""Stages: a cause is replayed one letter first, then ten, then one in a hundred, then all, while it does not return.

A stage is over when all its tasks have come to an end. Whether the cause has returned is told by its fingerprint, of
letters that came later and whose tasks are replays by this job.
"""

import json
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any

from routing.ledger import database, fingerprint
from routing.ledger.job_tables import Job
from routing.ledger.tables import DeadLetter

FIRST = (1, 10)
THEN = 0.01
VERY_MANY = 1_000_000
"""Where nobody could count them."""


@dataclass
class Stage:
    """``size``: letters to replay; ``after`` and ``until``: the numbers between which those of it lie."""

    size: int
    done: int = 0
    after: int = 0
    until: int = 0
    over: bool = False

    @property
    def full(self) -> bool:
        return self.done >= self.size


@dataclass
class Plan:
    """``later_than``: the number of a letter; what has returned up to there, somebody knows of."""

    stages: list[Stage] = field(default_factory=list)
    later_than: int = 0

    @property
    def current(self) -> Stage | None:
        return next((stage for stage in self.stages if not stage.over), None)

    def is_last(self, stage: Stage) -> bool:
        return stage is self.stages[-1]

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def plan(total: int, *, until: int) -> Plan:
    """Of so many letters, up to the one with this number."""
    sizes, left = list[int](), total
    for size in (*FIRST, ceil(total * THEN)):
        if left > size > (sizes[-1] if sizes else 0):
            sizes.append(size)
            left -= size
    return Plan([Stage(size) for size in [*sizes, left] if size], later_than=until)


def read(job: Job) -> Plan | None:
    """None where the job has no stages."""
    document: Any = json.loads(job.stages)
    return Plan([Stage(**stage) for stage in document["stages"]], document["later_than"]) if document else None


# An expression, so that both of these go by the numbers of letters: an index on fingerprints would lead to all of the
# cause, and those that are wanted are few.


def in_flight(job: Job, stage: Stage) -> int:
    """How many replays of this stage have not come to an end."""
    (row,) = database.rows(
        """
        SELECT count(*) AS tasks FROM routing_deadletter AS letter
        JOIN routing_message AS message ON message.id = letter.replayed_as
        WHERE letter.id > %s AND letter.id <= %s AND letter.fingerprint || '' = %s AND letter.state = 'replayed'
        """,
        [stage.after, stage.until, job.fingerprint],
    )
    return int(row["tasks"])


def returned(job: Job, seen: Plan) -> DeadLetter | None:
    """A letter by which the same cause has come back from what this job replayed."""
    return next(iter(_of_replays(job, seen, job.fingerprint)), None)


def is_unclear(job: Job, seen: Plan) -> bool:
    """Whether a replay has failed of which nobody knows yet why."""
    fingerprint.work_out(batches=50)
    # Whoever else was at work on some of them has not committed.
    return bool(_of_replays(job, seen, ""))


def _of_replays(job: Job, seen: Plan, wanted: str) -> list[DeadLetter]:
    found = database.rows(
        """
        SELECT later.id FROM routing_deadletter AS later
        WHERE later.fingerprint || '' = %s AND later.id > %s AND later.task_id <> '' AND EXISTS (
            SELECT 1 FROM routing_deadletter AS letter
            WHERE letter.replayed_as = later.task_id AND letter.replayed_as <> '' AND letter.fingerprint = %s
                AND letter.decided_at >= %s
        )
        LIMIT 1
        """,
        [wanted, seen.later_than, job.fingerprint, database.parameter(job.asked_at)],
    )
    rows = DeadLetter.objects.using(database.using()).filter(pk__in=[row["id"] for row in found])
    return list(rows.only("task_id", "dead_at"))


def newest_letter() -> int:
    """The highest number there is."""
    (row,) = database.rows("SELECT coalesce(max(id), 0) AS newest FROM routing_deadletter")
    return int(row["newest"])
