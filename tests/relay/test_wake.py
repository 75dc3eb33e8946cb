"""How soon a relay hears of what was enqueued."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app
from django.db import connection, transaction

from routing.broker.hands import SlowHand, SlowQueues
from routing.ledger import pauses, sooner, wake
from routing.ledger.enqueue import Envelope
from routing.worker import consumer
from tests import probe as typed_probe
from tests.relay.ledger import waiting

probe: Any = typed_probe

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


def test_a_rest_swallows_no_wake(waiter: wake.Waiter) -> None:
    _enqueue_elsewhere()

    waiter.rest(0.05)

    assert _seconds(waiter) < 0.2


@transaction.atomic
def _resume() -> None:
    pauses.resume("q", by="ada")


@transaction.atomic
def _bring_forward() -> None:
    sooner.bring_forward(["q"], error="held back")


@transaction.atomic
def _finish_chord() -> None:
    """Outside of any run, as a task does that is stored away from its worker."""
    member = SimpleNamespace(id="member", group="group", chord={"task": "reporting.probe"})
    current_app.backend.on_chord_part_return(member, "SUCCESS", 1)


def _keep_foreign() -> None:
    """Another program's message that has a time."""
    names: dict[str, Any] = {"id": "foreign", "task": "reporting.probe", "domain": "reporting", "queue": "reporting"}
    consumer._written(Envelope(**names, headers="{}", properties="{}", body="[]", due=0.3))


@pytest.mark.parametrize("deed", [_resume, _bring_forward, _finish_chord, _keep_foreign])
def test_what_brings_work_besides_a_call_ends_the_wait_once_that_commits(
    waiter: wake.Waiter, deed: Callable[[], None]
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("On SQLite every commit is a wake")

    def act() -> None:
        deed()
        connection.close()

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()

    assert _seconds(waiter) < 0.2


def test_a_queue_that_is_given_back_is_looked_after_at_once(waiter: wake.Waiter) -> None:
    """The quick hand has looked past it when its tasks came, and would look again after half a second."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one hand for all")
    queues = SlowQueues()
    queues.add("q")

    SlowHand(threading.Event(), queues).emptied("q")

    assert "q" not in queues
    assert _seconds(waiter) < 0.2


@pytest.mark.parametrize(
    ("due", "is_soon"), [(None, True), (0, True), (0.3, True), (60, False), (datetime(2000, 1, 1, tzinfo=UTC), True)]
)
def test_relays_are_told_of_what_they_would_not_find_in_time(due: float | datetime | None, is_soon: bool) -> None:
    assert wake.is_soon(due) is is_soon


@pytest.mark.parametrize(("countdown", "is_told"), [(0, True), (3600, False)])
@pytest.mark.parametrize("many", [False, True])
def test_a_call_for_later_is_told_to_nobody(countdown: int, is_told: bool, many: bool) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("On SQLite nothing has to be told")
    if many:
        probe.add.enqueue_many([(1, 2)], countdown=countdown)
    else:
        probe.add.apply_async((1, 2), countdown=countdown)

    assert (wake._notified_at > 0) is is_told


def test_after_activity_it_looks_often_where_it_hears_nothing(waiter: wake.Waiter) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite always looks often")
    waiter._hears = False
    waiter.busy()

    assert min(_seconds(waiter) for _ in range(5)) < wake.POLL_DEAF


def test_where_it_cannot_listen_it_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "CHANNEL", "no channel's name")
    waiter = wake.Waiter(threading.Event())
    waiter.wait(0.5)

    assert _seconds(waiter) < 0.6
    waiter.close()


def test_told_to_stop_it_returns(waiter: wake.Waiter) -> None:
    waiter._stop.set()

    assert _seconds(waiter) < 0.6
