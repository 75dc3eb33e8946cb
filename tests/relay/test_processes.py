"""Relays as processes: several at once, embedded ones, told to stop, and killed where it hurts."""

import signal
from collections.abc import Callable

import pytest
from kombu import Connection

from routing.broker import evidence
from routing.domains import registry
from routing.ledger import marker
from routing.ledger.tables import Message, Outbox, Process
from tests.relay.ledger import ago, dead_process, epochs, waiting
from tests.waiting import until
from tests.workers import Process as Program

pytestmark = [pytest.mark.broker, pytest.mark.pipeline, pytest.mark.one_database]

StartRelay = Callable[..., Program]


def test_several_relays_publish_each_row_once(start_relay: StartRelay, clean_broker: Connection) -> None:
    for _ in range(3):
        start_relay()

    messages = waiting(count=1500)

    until(lambda: not Outbox.objects.exists(), what="all of them")
    published = epochs(clean_broker, "reporting")
    assert sorted(published) == sorted((message.pk, 1) for message in messages)


def test_a_relay_that_is_told_to_stop_finishes_and_leaves(start_relay: StartRelay, clean_broker: Connection) -> None:
    relay = start_relay()
    waiting(count=5000)
    until(lambda: Outbox.objects.count() < 5000, what="the first batch")

    assert relay.stop() == 0

    assert not Process.objects.exists()
    assert len(epochs(clean_broker, "reporting")) + Outbox.objects.count() == 5000


def test_ctrl_c_is_no_error(start_relay: StartRelay) -> None:
    relay = start_relay()

    relay.popen.send_signal(signal.SIGINT)

    assert relay.popen.wait(120) == 0


def test_an_embedded_relay_ends_when_another_one_runs(start_relay: StartRelay) -> None:
    embedded = start_relay("--embedded")
    start_relay()

    assert embedded.popen.wait(120) == 0
    assert Process.objects.filter(role="relay").count() == 1


def test_of_two_embedded_relays_the_elder_stays(start_relay: StartRelay) -> None:
    elder = start_relay("--embedded")
    younger = start_relay("--embedded", wait=False)

    assert younger.popen.wait(120) == 0
    assert not elder.is_dead


def test_a_relay_declared_dead_goes_on_under_a_new_name(start_relay: StartRelay) -> None:
    relay = start_relay()
    Process.objects.update(dead_at=ago(seconds=1))

    until(lambda: Process.objects.filter(dead_at=None).exists(), what="another incarnation")

    assert not relay.is_dead


def test_housekeeping_goes_on_beside_the_publishing(start_relay: StartRelay) -> None:
    start_relay()
    (expired,) = waiting(publish=False, expires_at=ago(seconds=1))
    waiting(publish=False, owner=dead_process().pk, state="STARTED", runs=1)

    until(lambda: not Message.objects.filter(pk=expired.pk), what="the expired task")
    until(lambda: Message.objects.get().epoch == 2, what="the dead owner's task")


def test_an_idle_relay_publishes_soon(start_relay: StartRelay, clean_broker: Connection) -> None:
    start_relay()
    waiting(due_at=ago(seconds=-1))

    until(lambda: not Outbox.objects.exists(), seconds=20, what="the publication")


@pytest.mark.parametrize("place", ["relay.taken", "relay.published", "relay.confirmed", "relay.committed"])
def test_a_relay_killed_while_it_publishes_loses_nothing(
    start_relay: StartRelay, clean_broker: Connection, place: str
) -> None:
    messages = waiting(count=10)
    killed = start_relay("--batch=4", wait=False, fault=f"{place}:2")
    assert killed.popen.wait(120) == -signal.SIGKILL

    start_relay()
    until(lambda: not Outbox.objects.exists(), what="all of them")

    assert set(epochs(clean_broker, "reporting")) == {(message.pk, 1) for message in messages}


@pytest.mark.parametrize("place", ["redrive.marked", "redrive.declared"])
def test_a_relay_killed_while_it_puts_a_loss_right_loses_nothing(
    start_relay: StartRelay, clean_broker: Connection, place: str
) -> None:
    (message,) = waiting(publish=False)
    marker.current()
    killed = start_relay(wait=False, fault=place)
    assert killed.popen.wait(120) == -signal.SIGKILL

    start_relay()
    until(lambda: not Outbox.objects.exists(), what="the publication")

    message.refresh_from_db()
    assert message.epoch > 1
    assert (message.pk, message.epoch) in epochs(clean_broker, "reporting")
    assert not evidence.examine(clean_broker, registry())
