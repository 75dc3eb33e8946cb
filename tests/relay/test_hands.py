"""The two hands of a relay: which of them takes from which queue."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from kombu import Connection

from routing.broker import pair as pair_module
from routing.broker.hands import Hand, QuickHand, SlowHand, SlowQueues
from routing.broker.keeper import Keeper
from routing.broker.publisher import BrokerTrouble
from routing.broker.relay import Config, Relay
from routing.ledger.tables import Outbox
from tests.relay.ledger import ago, epochs, ready, waiting
from tests.services import DATABASE, Broker
from tests.waiting import until
from tests.workers import Process as Program

pytestmark = pytest.mark.broker

WINDOW, LITTLE, MUCH = 100, 5, 20


class Pair:
    """Both hands, moved by the test."""

    def __init__(self) -> None:
        stop, self.queues = threading.Event(), SlowQueues()
        config = Config(window=WINDOW, batch=MUCH, confirm_timeout=timedelta(seconds=2))
        little = Config(window=WINDOW, batch=LITTLE, confirm_timeout=timedelta(seconds=2))
        self.quick = Relay(little, stop=stop, hand=QuickHand(stop, self.queues))
        self.slow = Relay(config, stop=stop, hand=SlowHand(stop, self.queues), beside=self.quick)


@pytest.fixture
def pair(transactional_db: None, clean_broker: Connection) -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.quick.close()
    pair.slow.close()


def test_a_queue_with_more_due_than_a_little_goes_over_to_the_slow_hand(pair: Pair, clean_broker: Connection) -> None:
    messages = waiting("notifications.bulk", LITTLE + MUCH - 1)
    waiting("notifications.urgent")

    assert pair.quick.run_once()[0] == LITTLE + 1
    assert pair.quick.run_once()[0] == 0
    assert pair.slow.run_once()[0] == MUCH - 1

    assert epochs(clean_broker, "notifications.bulk") == [(message.pk, 1) for message in messages]


def test_it_comes_back_when_nothing_more_is_due(pair: Pair, clean_broker: Connection) -> None:
    waiting("notifications.bulk", LITTLE)
    pair.quick.run_once()
    assert "notifications.bulk" in pair.queues
    waiting("notifications.bulk", due_at=ago(hours=-1))

    pair.slow.run_once()

    assert "notifications.bulk" not in pair.queues
    waiting("notifications.bulk")
    assert pair.quick.run_once()[0] == 1


def test_large_messages_are_much_however_few_they_are(pair: Pair) -> None:
    waiting("notifications.bulk", 3, body='"' + "x" * 1000 + '"')
    pair.quick._config = Config(window=WINDOW, batch=LITTLE, max_bytes=1500)

    assert pair.quick.run_once()[0] == 1

    assert "notifications.bulk" in pair.queues


def test_a_full_window_is_the_slow_hands_to_watch(pair: Pair, clean_broker: Connection) -> None:
    waiting("notifications.bulk", WINDOW + 1)
    until(lambda: pair.quick.run_once()[0] + pair.slow.run_once()[0] == 0, what="a full window")

    assert ready(clean_broker, "notifications.bulk") == WINDOW
    assert "notifications.bulk" in pair.queues
    epochs(clean_broker, "notifications.bulk")
    until(lambda: pair.slow.run_once()[0] == 1, what="the last one")
    assert "notifications.bulk" not in pair.queues


def test_a_queue_that_is_full_when_the_relay_starts_goes_over_as_well(pair: Pair, clean_broker: Connection) -> None:
    waiting("notifications.bulk", 2)
    pair.quick._windows._size = 0

    assert pair.quick.run_once()[0] == 0

    assert "notifications.bulk" in pair.queues


@pytest.mark.one_database
@pytest.mark.timeout(120)
def test_a_queue_that_keeps_the_broker_waiting_goes_over(pair: Pair, broker: Broker) -> None:
    pair.quick.run_once()
    waiting("notifications.bulk")
    pair.quick._windows.room("notifications.bulk")

    with broker.frozen(), pytest.raises(BrokerTrouble):
        until(lambda: pair.quick.run_once()[0], what="what is not confirmed")

    assert "notifications.bulk" in pair.queues
    pair.quick._publisher.drop()
    until(lambda: pair.slow.run_once()[0] == 1, what="the publication")
    assert "notifications.bulk" not in pair.queues


def test_the_slow_hand_needs_no_connection_until_it_has_a_queue(pair: Pair) -> None:
    pair.slow.run_once()

    assert pair.slow._publisher.connection is None


def test_the_slow_hand_hears_of_a_queue_at_once() -> None:
    stop, queues = threading.Event(), SlowQueues()
    hand = SlowHand(stop, queues)
    queues.add("reporting")

    hand.wait(60)

    assert hand.takes("reporting")
    assert not hand.takes("notifications")


@pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite has one hand for all")
@pytest.mark.parametrize("broken", [QuickHand, SlowHand])
def test_neither_hand_goes_on_alone(
    transactional_db: None, clean_broker: Connection, monkeypatch: pytest.MonkeyPatch, broken: type[Hand]
) -> None:
    class Breaking(Relay):
        def run(self) -> None:
            if isinstance(self._hand, broken):
                raise ZeroDivisionError
            super().run()

    monkeypatch.setattr(pair_module, "Relay", Breaking)
    monkeypatch.setattr("sys.setswitchinterval", lambda _: None)
    stop = threading.Event()

    with pytest.raises(ZeroDivisionError):
        pair_module.run(Config(window=1, batch=1), stop=stop, keeper=Keeper(name="it", embedded=False, stop=stop))

    assert stop.is_set()


@pytest.mark.pipeline
@pytest.mark.one_database
def test_a_relay_process_publishes_a_flood_and_what_is_not_one(
    start_relay: Callable[..., Program], clean_broker: Connection
) -> None:
    start_relay("--batch=100", "--window=20000")
    flood = waiting("notifications.bulk", 3000)
    other = waiting("reporting", 10)

    until(lambda: not Outbox.objects.exists(), what="all of them")

    assert epochs(clean_broker, "notifications.bulk") == [(message.pk, 1) for message in flood]
    assert epochs(clean_broker, "reporting") == [(message.pk, 1) for message in other]
