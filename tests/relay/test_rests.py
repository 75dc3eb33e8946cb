"""How long a relay rests between its rounds."""

import threading
import time

import pytest

from routing.broker.hands import Hand, SlowHand, SlowQueues
from routing.broker.relay import Relay
from routing.broker.rests import LONGEST_REST, Rests
from tests.relay.clock import Clock
from tests.relay.conftest import MakeRelay
from tests.relay.ledger import waiting


def _rests_at(clock: Clock, rate: float, *, together: int = 1, seconds: float = 3.0) -> float:
    """The rest after messages have come at this rate for a while, so many in a round."""
    resting, rest = Rests(clock), 0.0
    for _ in range(int(rate * seconds / together)):
        clock.now += together / rate
        rest = resting.after(together)
    return rest


@pytest.mark.parametrize("rate", [1, 20, 50, 90])
def test_calls_that_come_one_by_one_are_not_kept_waiting(clock: Clock, rate: float) -> None:
    assert _rests_at(clock, rate) == 0


@pytest.mark.parametrize("together", [1, 5, 50])
def test_where_many_come_it_rests_for_the_longest(clock: Clock, together: int) -> None:
    assert _rests_at(clock, 500, together=together) == LONGEST_REST


def test_between_the_two_it_rests_for_a_part(clock: Clock) -> None:
    assert _rests_at(clock, 200) == pytest.approx(LONGEST_REST / 2, rel=0.05)


def test_a_flood_that_is_over_is_forgotten(clock: Clock) -> None:
    resting = Rests(clock)
    assert resting.after(500) == LONGEST_REST

    clock.now += 3

    assert resting.after(1) == 0


class Waiting(Hand):
    """Says what it does."""

    def __init__(self) -> None:
        super().__init__(threading.Event())
        self.waited: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)


def test_what_is_left_of_a_rest_is_a_wait_for_work() -> None:
    hand, began = Waiting(), time.monotonic()

    hand.rest(0.25, at_least=0.05)

    assert time.monotonic() - began >= 0.05
    assert hand.waited == [0.2]


def test_told_to_stop_it_does_not_rest() -> None:
    stop = threading.Event()
    hand, began = SlowHand(stop, SlowQueues()), time.monotonic()
    stop.set()

    hand.rest(60, at_least=60)

    assert time.monotonic() - began < 30


class Resting(Hand):
    """Notes how long it is to rest at least, and does not."""

    def __init__(self) -> None:
        super().__init__(threading.Event())
        self.rests: list[float] = []

    def rest(self, seconds: float, *, at_least: float) -> None:
        self.rests.append(at_least)


@pytest.mark.parametrize(("count", "rests"), [(1, 0.0), (200, LONGEST_REST)])
def test_a_round_is_followed_by_the_rest_that_its_rate_asks_for(relay_of: MakeRelay, count: int, rests: float) -> None:
    relay, hand = relay_of(batch=500), Resting()
    relay._hand = hand
    waiting(count=count)

    relay._turn()

    assert hand.rests == [rests]


def test_what_rabbitmq_says_by_itself_is_not_taken_in_at_each_round(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay.run_once()
    taken_in: list[None] = []
    monkeypatch.setattr(relay._publisher, "tick", lambda: taken_in.append(None))
    relay._took_in_at = time.monotonic() + 3600

    relay.run_once()
    assert taken_in == []

    relay._took_in_at = float("-inf")
    relay.run_once()
    relay.run_once()
    assert len(taken_in) >= 1
