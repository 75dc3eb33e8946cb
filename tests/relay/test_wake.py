"""How soon a relay hears of what was enqueued."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from routing.ledger import wake
from tests.relay.ledger import waiting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiter() -> Iterator[wake.Waiter]:
    """One that knows how things are, and has nothing to do."""
    waiter = wake.Waiter(threading.Event())
    waiter.wait(0.5)
    waiter.wait(2 * wake.THROTTLE)
    waiter._busy_until = 0.0
    yield waiter
    waiter.close()


@pytest.fixture(autouse=True)
def unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "_notified_at", float("-inf"))


def _seconds(waiter: wake.Waiter) -> float:
    began = time.monotonic()
    waiter.wait(0.5)
    return time.monotonic() - began


def _enqueue_elsewhere() -> None:
    def enqueue() -> None:
        waiting()
        wake.wake()
        connection.close()

    thread = threading.Thread(target=enqueue)
    thread.start()
    thread.join()


def test_with_nothing_to_do_it_waits(waiter: wake.Waiter) -> None:
    assert _seconds(waiter) > 0.4


def test_an_enqueued_task_ends_the_wait_at_once(waiter: wake.Waiter) -> None:
    _enqueue_elsewhere()

    assert _seconds(waiter) < 0.2


def test_waking_never_fails_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "CHANNEL", "it's broken")

    wake.wake()


def test_a_transaction_is_left_alone() -> None:
    with transaction.atomic():
        wake.wake()

    assert wake._notified_at == float("-inf")


def test_what_was_enqueued_without_a_wake_of_its_own_is_looked_for_once(
    waiter: wake.Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has just told the relays of a task does not tell them of the next: they look again by themselves."""
    if connection.vendor != "postgresql":
        pytest.skip("On SQLite every commit is a wake")
    _enqueue_elsewhere()
    assert _seconds(waiter) < 0.2

    # As if it came at once: this test may be slower than the throttle is long.
    monkeypatch.setattr(wake, "_notified_at", told_at := time.monotonic() + 60)
    _enqueue_elsewhere()

    assert wake._notified_at == told_at
    assert _seconds(waiter) < 0.2
    assert _seconds(waiter) > 0.4


def test_a_wake_that_comes_while_it_rests_ends_the_wait_that_follows(waiter: wake.Waiter) -> None:
    _enqueue_elsewhere()

    waiter.rest(0.05)

    assert _seconds(waiter) < 0.2


def test_after_activity_it_looks_often_where_it_hears_nothing(waiter: wake.Waiter) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite always looks often")
    waiter._hears = False
    waiter.busy()

    assert _seconds(waiter) < wake.POLL_DEAF


def test_where_it_cannot_listen_it_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "CHANNEL", "no channel's name")
    waiter = wake.Waiter(threading.Event())
    waiter.wait(0.5)

    assert _seconds(waiter) < 0.6
    waiter.close()


def test_told_to_stop_it_returns(waiter: wake.Waiter) -> None:
    waiter._stop.set()

    assert _seconds(waiter) < 0.6
