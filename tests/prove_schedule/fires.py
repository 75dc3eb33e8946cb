"""What was fired, as the messages themselves tell: which entry each is of, and which due time."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

from routing.ledger.schedule_tables import ScheduleSlot
from routing.ledger.tables import Message
from tests.prove_schedule.counts import Counts

Due = Mapping[datetime, Collection[str]]
"""Each due time, with the reasons for which it may be missed."""


def by_due_time() -> Counter[tuple[str, datetime]]:
    found: Counter[tuple[str, datetime]] = Counter()
    for headers in Message.objects.values_list("headers", flat=True):
        told = json.loads(headers)
        found[told["periodic_task_name"], datetime.fromisoformat(told["scheduled_for"])] += 1
    return found


def judge(entry: str, due: Due, fires: Counter[tuple[str, datetime]]) -> Counts:
    """Each due time has one message, or a row that says why it was missed; and nothing else was fired."""
    rows = {row.due_at: row for row in ScheduleSlot.objects.filter(entry=entry)}
    counts = Counts(slots=len(due))
    for due_at, allowed in due.items():
        row, fired = rows.get(due_at), fires[entry, due_at]
        if fired:
            counts.fired += 1
            _double(counts, fired - 1, f"{entry}, due {due_at}: {fired} tasks")
            if row is None or not row.task_id:
                _lose(counts, f"{entry}, due {due_at}: fired without a slot that says so")
        elif row is not None and row.missed in allowed:
            counts.recorded_missed += 1
        else:
            _lose(counts, f"{entry}, due {due_at}: {row.missed if row else 'nothing is known of it'}")
    until = max(due, default=None)
    for (name, due_at), fired in fires.items():
        if name == entry and due_at not in due and until and due_at <= until:
            _double(counts, fired, f"{entry}: fired for {due_at}, when nothing was due")
    return counts


def _lose(counts: Counts, finding: str) -> None:
    counts.lost += 1
    counts.findings.append(finding)


def _double(counts: Counts, number: int, finding: str) -> None:
    if number:
        counts.doubled += number
        counts.findings.append(finding)
