"""A broker that is dead, frozen, short of memory, or keeps us out: rows stay, with the reason, and go out later."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from kombu import Connection

from routing.broker.publisher import BrokerTrouble
from routing.broker.relay import Relay
from routing.ledger.tables import Message, Outbox, Process
from tests.dead_broker import absent_broker
from tests.relay.ledger import epochs, ready, waiting
from tests.services import Broker
from tests.waiting import until
from tests.workers import Process as Program

__all__ = ["absent_broker"]

pytestmark = [pytest.mark.broker, pytest.mark.one_database]

MakeRelay = Callable[..., Relay]


@pytest.mark.timeout(120)
def test_a_frozen_broker_is_given_up_within_the_time_for_confirmation(
    relay_of: MakeRelay, clean_broker: Connection, broker: Broker
) -> None:
    relay = relay_of(confirm_timeout=timedelta(seconds=2))
    relay.run_once()
    waiting(count=3)
    relay._windows.room("reporting")

    with broker.frozen():
        began = time.monotonic()
        with pytest.raises(BrokerTrouble, match="does not answer"):
            relay.run_once()
        assert time.monotonic() - began < 15
        assert Outbox.objects.filter(failures=0).count() == 3


def test_without_a_broker_the_rows_stay_as_they_are(relay: Relay, absent_broker: None) -> None:
    waiting()

    with pytest.raises(BrokerTrouble, match="cannot be reached"):
        relay.run_once()

    assert Outbox.objects.get().failures == 0


def test_a_wrong_password_is_told_without_it(relay: Relay, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", broker_url.replace("guest:guest", "guest:secret"))

    with pytest.raises(BrokerTrouble) as caught:
        relay.run_once()

    assert "refuses the user name or password" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("limit", "raises", "clears"),
    [("set_vm_memory_high_watermark", "0.00001", "0.3"), ("set_disk_free_limit", "100000GB", "50MB")],
    ids=["memory", "disk"],
)
def test_an_alarm_is_told_and_publishing_goes_on_after_it(
    start_relay: Callable[..., Program],
    clean_broker: Connection,
    broker: Broker,
    limit: str,
    raises: str,
    clears: str,
) -> None:
    start_relay()

    def is_told() -> bool:
        # RabbitMQ takes its time to notice.
        waiting()
        return "short of memory" in Process.objects.get(role="relay").trouble

    broker.node.control(limit, raises)
    try:
        until(is_told, what="the trouble")
        assert Outbox.objects.filter(failures=0).exists()
    finally:
        broker.node.control(limit, clears)

    until(lambda: not Outbox.objects.exists(), what="all of them")
    until(lambda: Process.objects.get(role="relay").trouble == "", what="the end of the trouble")
    assert len(set(epochs(clean_broker, "reporting"))) == Message.objects.count()


@pytest.mark.pipeline
def test_a_relay_that_starts_during_an_alarm_waits_for_its_end(
    start_relay: Callable[..., Program], clean_broker: Connection, broker: Broker
) -> None:
    broker.node.control("set_vm_memory_high_watermark", "0.00001")
    try:
        until(lambda: "Memory alarm" in broker.node.control("status"), what="the alarm")
        start_relay()
        waiting()
        until(lambda: "short of memory" in Process.objects.get(role="relay").trouble, what="the trouble")
    finally:
        broker.node.control("set_vm_memory_high_watermark", "0.3")

    until(lambda: not Outbox.objects.exists(), what="the publication")
    assert ready(clean_broker, "reporting") >= 1


@pytest.mark.pipeline
@pytest.mark.timeout(180)
def test_a_relay_lives_through_a_frozen_a_killed_and_a_wiped_broker(
    start_relay: Callable[..., Program], broker: Broker, broker_url: str
) -> None:
    relay = start_relay(TASKYARD_RELAY_CONFIRM_TIMEOUT="2")
    with broker.frozen():
        waiting()
        until(lambda: "does not answer" in Process.objects.get(role="relay").trouble, what="the trouble")
    until(lambda: not Outbox.objects.exists(), seconds=60, what="the publication after the thaw")

    broker.kill()
    waiting()
    until(lambda: "cannot be reached" in Process.objects.get(role="relay").trouble, what="the trouble")
    broker.start()
    until(lambda: not Outbox.objects.exists(), seconds=60, what="the publication after the restart")
    with Connection(broker_url) as connection:
        assert ready(connection, "reporting") >= 2

    broker.wipe()
    broker.start()
    with Connection(broker_url) as connection:
        until(lambda: ready(connection, "reporting") == 2, seconds=60, what="both again")
        assert {epoch for _, epoch in epochs(connection, "reporting")} == {2}
    assert not relay.is_dead
