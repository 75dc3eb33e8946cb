"""Where a relay begins to look for what is due, while an old transaction keeps what was published in its way."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from django.db import connection
from kombu import Connection

from routing.broker.relay import Relay
from routing.ledger import floors as floors_module
from routing.ledger import outbox
from routing.ledger.floors import SHARE, SLOW, Floors
from tests.relay.clock import Clock
from tests.relay.ledger import ago, epochs, waiting
from tests.services import DATABASE
from tests.waiting import until

MakeRelay = Callable[..., Relay]

MOMENT, LATER, STILL_LATER = (f"2026-11-23T09:0{minute}:00+00:00" for minute in (0, 1, 2))


@pytest.fixture
def floors(clock: Clock) -> Floors:
    return Floors(clock)


def _look(floors: Floors, *, since: str | None = None, empty_until: str = MOMENT, seconds: float) -> None:
    floors.looked("reporting", since=since, empty_until=empty_until, seconds=seconds)


def test_while_looks_are_quick_all_of_them_are_in_full(floors: Floors) -> None:
    _look(floors, seconds=SLOW / 2)

    assert floors.since("reporting") is None
    assert floors.overdue() == []


def test_after_a_long_look_the_next_ones_begin_where_it_found_the_first(floors: Floors) -> None:
    _look(floors, seconds=2 * SLOW)
    assert floors.since("reporting") == MOMENT

    _look(floors, since=MOMENT, empty_until=LATER, seconds=SLOW / 10)

    assert floors.since("reporting") == LATER
    assert floors.since("notifications") is None


def test_looks_in_full_take_a_small_share_of_the_time(floors: Floors, clock: Clock) -> None:
    _look(floors, seconds=0.1)
    clock.now += 0.9 * SHARE * 0.1
    assert floors.overdue() == []

    clock.now += 0.2 * SHARE * 0.1

    assert floors.overdue() == ["reporting"]


def test_a_look_in_full_lowers_the_floor_and_one_that_began_before_does_not_raise_it(floors: Floors) -> None:
    _look(floors, empty_until=LATER, seconds=0.1)
    _look(floors, empty_until=MOMENT, seconds=0.1)

    _look(floors, since=LATER, empty_until=STILL_LATER, seconds=0.001)

    assert floors.since("reporting") == MOMENT


def test_once_it_is_quick_again_nothing_is_left_out(floors: Floors) -> None:
    _look(floors, seconds=0.1)

    _look(floors, seconds=SLOW / 2)

    assert floors.since("reporting") is None


# --- With a real outbox -----------------------------------------------------------------------------------------------


def _floor(floors: Floors) -> datetime:
    return datetime.fromisoformat(floors.since("reporting") or "none")


@pytest.fixture
def all_looks_are_slow(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if DATABASE == "sqlite":
        pytest.skip("SQLite clears away at once what is deleted")
    monkeypatch.setattr(floors_module, "SLOW", -1.0)


@pytest.mark.usefixtures("all_looks_are_slow")
def test_the_floor_follows_what_is_published() -> None:
    floors = Floors()
    old, young = ago(hours=2), ago(hours=1)
    waiting(due_at=old)
    waiting(due_at=young)
    outbox.due_queues(["reporting"], floors=floors)
    assert _floor(floors) == old

    with outbox.batch("reporting", limit=1, max_bytes=10**6, floors=floors) as batch:
        assert len(batch) == 1
    assert outbox.due_queues(["reporting"], floors=floors)["reporting"] < -3000

    assert _floor(floors) == young


@pytest.mark.usefixtures("all_looks_are_slow")
def test_with_nothing_due_the_floor_stays_behind_the_clock_for_those_about_to_commit() -> None:
    floors = Floors()

    assert outbox.due_queues(["reporting"], floors=floors) == {}

    assert ago(seconds=3) < _floor(floors) < ago(seconds=0.9)
    waiting(due_at=ago(seconds=0.5))
    assert outbox.due_queues(["reporting"], floors=floors)["reporting"] < 0


@pytest.mark.broker
@pytest.mark.usefixtures("all_looks_are_slow")
def test_what_comes_to_lie_below_the_floor_is_published_all_the_same(
    relay_of: MakeRelay, clean_broker: Connection
) -> None:
    waiting(count=2)
    relay = relay_of()
    relay.run_once()
    relay.run_once()
    (late,) = waiting(due_at=ago(hours=1))
    epochs(clean_broker, "reporting")

    until(lambda: relay.run_once()[0] == 1, what="the late one")

    assert epochs(clean_broker, "reporting") == [(late.pk, 1)]


@contextmanager
def _old_transaction() -> Iterator[None]:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT txid_current()")
            yield
    finally:
        other.close()


def _seconds(floors: Floors, *, in_full: bool) -> float:
    """The shortest of three looks."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        outbox.due_queues(["reporting"], floors=floors, in_full=in_full)
        found.append(time.perf_counter() - began)
    return min(found)


@pytest.mark.one_database
@pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite clears away at once what is deleted")
def test_beside_an_old_transaction_looks_stay_quick(transactional_db: None) -> None:
    floors = Floors()
    with _old_transaction(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO routing_outbox (message_id, epoch, queue, due_at, failures) "
            "SELECT number::text, 1, 'reporting', clock_timestamp() - interval '1 hour', 0 "
            "FROM generate_series(1, 200000) AS number"
        )
        cursor.execute("DELETE FROM routing_outbox")
        outbox.due_queues(["reporting"], floors=floors)

        assert _seconds(floors, in_full=False) < _seconds(floors, in_full=True) / 5
