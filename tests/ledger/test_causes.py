"""Causes: open letters counted by what went wrong, from an index alone, and how often each struck in each hour."""

import re
from datetime import datetime, timedelta

import pytest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from routing.ledger import causes, database
from routing.ledger.bounded import AtLeast
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


def test_of_very_many_it_is_told_that_they_are_more_and_the_largest_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "BUDGET", 20)
    monkeypatch.setattr(causes, "COUNTED", 20)
    for number in range(4):
        letters(3, fingerprint=f"{number:032x}")
    letters(25)

    found = causes.causes()

    assert (found.shown[0].fingerprint, found.shown[0].count) == (LOST, 20)
    assert [type(each.count) for each in found.shown] == [AtLeast, int, int, int, int]
    assert (found.letters, type(found.letters)) == (32, AtLeast)


def test_the_largest_is_first_also_where_each_is_counted_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "BUDGET", 4)
    letters(30)
    for number in range(3):
        letters(2, fingerprint=f"{number:032x}")

    found = causes.causes()

    assert found.shown[0].fingerprint == LOST
    assert {each.count for each in found.shown} == {1}
    assert all(isinstance(each.count, AtLeast) for each in found.shown)


def test_of_more_causes_than_can_be_looked_at_the_largest_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "MOST", 2)
    letters(9)
    for number in range(3):
        letters(1, fingerprint=f"{number:032x}")

    found = causes.causes()

    assert (found.count, type(found.count), type(found.letters)) == (2, AtLeast, AtLeast)
    assert (found.shown[0].fingerprint, found.shown[0].count) == (LOST, 9)


def test_an_hour_with_very_many_is_counted_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "BUDGET", 24)
    monkeypatch.setattr(causes, "COUNTED", 5)
    now = timezone.now()
    letters(7, dead_at=now - timedelta(minutes=5))
    letters(5, dead_at=now - timedelta(minutes=65))

    *_, before, last = causes.hours([LOST], now=now)[LOST]

    assert (before, type(before)) == (5, int)
    assert (last, type(last)) == (5, AtLeast)


def test_a_page_reads_no_more_entries_of_the_index_than_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many letters there are: each statement stops by itself."""
    monkeypatch.setattr(causes, "BUDGET", 40)
    letters(300)
    letters(300, fingerprint=FULL)

    with CaptureQueriesContext(database.connection()) as asked:
        found = causes.causes()

    limits = [int(limit) for limit in re.findall(r"one.fingerprint LIMIT (\d+)", str(asked.captured_queries))]
    assert limits == [21, 21], "all, and those that are shown"
    assert [each.count for each in found.shown] == [20, 20]


COUNTING = """
    SELECT count(*) FROM (
        SELECT 1 FROM routing_deadletter WHERE state = 'open' AND fingerprint = 'f011' LIMIT 11
    ) AS found
"""
FOLLOWING = """
    SELECT fingerprint FROM routing_deadletter WHERE state = 'open' AND fingerprint > 'f011'
    ORDER BY fingerprint LIMIT 1
"""
REPLAYING = """
    SELECT id FROM routing_deadletter WHERE state = 'open' AND fingerprint = 'f011' AND id > 7 ORDER BY id LIMIT 200
"""


@pytest.mark.parametrize("asked", [COUNTING, FOLLOWING, REPLAYING])
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
