"""Causes: open letters counted by what went wrong, from an index alone, and how often each struck in each hour."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from routing.ledger import causes, database
from routing.ledger.tables import DeadLetter

pytestmark = pytest.mark.django_db(transaction=True)

LOST, FULL = "1057" * 8, "f011" * 8


def letters(count: int, *, fingerprint: str = LOST, dead_at: datetime | None = None, state: str = "open") -> list[int]:
    dead_at = dead_at or timezone.now()
    fields = {"task": "reporting.x", "domain": "reporting", "queue": "reporting", "reason": "failed", "headers": "{}"}
    made = DeadLetter.objects.bulk_create(
        DeadLetter(
            task_id=f"{fingerprint[:4]}-{number}",
            body="[[], {}, {}]",
            error="ValueError: lost",
            fingerprint=fingerprint,
            dead_at=dead_at,
            state=state,
            **fields,
        )
        for number in range(count)
    )
    return [letter.pk for letter in made]


def test_open_letters_are_counted_by_cause_the_largest_first() -> None:
    now = timezone.now().replace(microsecond=123000)
    letters(2, dead_at=now - timedelta(days=2))
    (newest,) = letters(1, dead_at=now)
    letters(1, fingerprint=FULL)
    letters(5, fingerprint=FULL, state="discarded")

    found = causes.causes()

    assert (found.count, found.letters) == (2, 4)
    first, second = found.shown
    assert (first.fingerprint, first.count, first.newest) == (LOST, 3, newest)
    assert (first.first_at, first.last_at) == (now - timedelta(days=2), now)
    assert (second.fingerprint, second.count) == (FULL, 1)
    assert causes.cause(LOST) == first
    assert causes.latest_causes() == found


def test_what_has_no_fingerprint_yet_is_counted_too() -> None:
    letters(1, fingerprint="")

    assert [(each.fingerprint, each.count) for each in causes.causes().shown] == [("", 1)]


def test_of_many_causes_the_largest_are_named_and_all_are_counted() -> None:
    for number in range(causes.SHOWN + 3):
        letters(1, fingerprint=f"{number:032x}")
    letters(2, fingerprint=FULL)

    found = causes.causes()

    assert (len(found.shown), found.count) == (causes.SHOWN, causes.SHOWN + 4)
    assert found.shown[0].fingerprint == FULL


def test_each_of_the_last_24_hours_has_its_count_whatever_was_decided_since() -> None:
    now = timezone.now()
    letters(3, dead_at=now - timedelta(minutes=5))
    letters(2, dead_at=now - timedelta(hours=2, minutes=30), state="replayed")
    letters(1, dead_at=now - timedelta(hours=23, minutes=30))
    letters(7, dead_at=now - timedelta(hours=25))

    counted = causes.hours([LOST, FULL], now=now)

    assert counted[LOST][0] == 1
    assert counted[LOST][-3:] == [2, 0, 3]
    assert (sum(counted[LOST]), sum(counted[FULL])) == (6, 0)


GROUPING = """
    SELECT fingerprint, count(*), min(dead_at), max(dead_at), max(id) FROM routing_deadletter
    WHERE state = 'open' GROUP BY fingerprint
"""
REPLAYING = """
    SELECT id FROM routing_deadletter WHERE state = 'open' AND fingerprint = 'f011' AND id > 7 ORDER BY id LIMIT 200
"""


@pytest.mark.parametrize("asked", [GROUPING, REPLAYING])
def test_an_index_has_all_that_is_counted_and_the_order_of_a_replay(asked: str) -> None:
    letters(3)
    on_postgresql = database.on_postgresql()

    with database.atomic():
        if on_postgresql:
            # Of so few rows, PostgreSQL would read the table.
            database.execute("SET LOCAL enable_seqscan = off")
            database.execute("SET LOCAL enable_bitmapscan = off")
            database.execute("SET LOCAL enable_sort = off")
        plan = str(database.rows(f"{'EXPLAIN' if on_postgresql else 'EXPLAIN QUERY PLAN'} {asked}"))

    assert ("Index Only Scan using" if on_postgresql else "INDEX") + " routing_deadletter_open" in plan
