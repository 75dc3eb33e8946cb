"""Acks that travel together, against RabbitMQ: what is acked is gone, and nothing else is."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import amqp
import pytest
from kombu import Connection as KombuConnection
from kombu import Consumer, Message, Producer, Queue
from kombu.asynchronous import Hub

from routing.broker import acks
from routing.broker.acks import Connection
from tests.waiting import until

HELD = 32


@dataclass
class Taker:
    """A consumer in an event loop, as a worker's is."""

    hub: Hub
    connection: Connection
    taken: list[Message] = field(default_factory=list)

    def until(self, count: int) -> list[Message]:
        until(lambda: self._has_turned() and len(self.taken) >= count, what=f"{count} messages", every=0)
        return self.taken

    def until_acked(self) -> None:
        until(lambda: self._has_turned() and not self.channel._waiting, what="the acks to be sent", every=0)

    @property
    def channel(self) -> acks.Channel:
        channel: Any = self.connection.default_channel
        assert isinstance(channel, acks.Channel)
        return channel

    def _has_turned(self) -> bool:
        self.hub.run_once()
        return True

    def die(self) -> None:
        """Without a word, and with what waits."""
        self.hub.close()
        self.connection.collect()


@contextmanager
def taking(url: str, queue: Queue, *, held: int = HELD, no_ack: bool = False) -> Iterator[Taker]:
    """Leaves in good order in the end."""
    taker = Taker(Hub(), Connection(url))
    channel = taker.channel
    channel.basic_qos(0, held, False)
    taker.connection.transport.register_with_event_loop(taker.connection.connection, taker.hub)
    Consumer(channel, [queue], callbacks=[lambda _, message: taker.taken.append(message)], no_ack=no_ack).consume()
    try:
        yield taker
    finally:
        if taker.connection.connected:
            taker.hub.close()
        taker.connection.release()


@pytest.fixture
def queue(broker_url: str) -> Iterator[Queue]:
    with KombuConnection(broker_url) as connection:
        found = Queue("tests.acks", durable=True, queue_arguments={"x-queue-type": "quorum"})(
            connection.default_channel
        )
        found.declare()
        yield found
        found.delete()


def send(queue: Queue, count: int) -> None:
    producer = Producer(queue.channel)
    for number in range(count):
        producer.publish(number, routing_key=queue.name)


def left(queue: Queue, count: int) -> list[int]:
    """What the queue still has, once it has so many."""
    bound: Any = queue
    until(lambda: bound.queue_declare(passive=True).message_count == count, what=f"{count} messages in the queue")
    return sorted(bound.get(no_ack=True).payload for _ in range(count))


@pytest.fixture
def sent_acks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each ack that goes to RabbitMQ: whether it is one for several."""
    sent: list[bool] = []
    really = amqp.Channel.basic_ack

    def noting(self: Any, delivery_tag: int, multiple: bool = False, **options: Any) -> Any:
        sent.append(multiple)
        return really(self, delivery_tag, multiple, **options)

    monkeypatch.setattr(amqp.Channel, "basic_ack", noting)
    return sent


@pytest.mark.parametrize("seed", range(3))
def test_in_whatever_order_what_is_not_acked_comes_again_and_nothing_else(
    broker_url: str, queue: Queue, seed: int
) -> None:
    send(queue, 100)
    chosen = random.Random(seed).sample(range(100), 70)  # noqa: S311

    with taking(broker_url, queue, held=200) as taker:
        messages = {message.payload: message for message in taker.until(100)}
        for number in chosen:
            messages[number].ack()
        taker.until_acked()
        taker.die()

    assert left(queue, 30) == sorted(set(range(100)) - set(chosen))


def test_in_order_there_is_one_ack_for_several(broker_url: str, queue: Queue, sent_acks: list[bool]) -> None:
    send(queue, HELD)

    with taking(broker_url, queue) as taker:
        for message in taker.until(HELD):
            message.ack()
        taker.until_acked()

    assert sent_acks == [True] * acks.SHARE
    assert left(queue, 0) == []


def test_one_that_takes_long_holds_up_no_other_ack(broker_url: str, queue: Queue) -> None:
    send(queue, HELD)

    with taking(broker_url, queue) as taker:
        for message in taker.until(HELD)[1:]:
            message.ack()
        taker.until_acked()
        taker.die()

    assert left(queue, 1) == [0]


def test_a_rejected_one_in_between_is_not_acked(broker_url: str, queue: Queue) -> None:
    send(queue, 5)

    with taking(broker_url, queue) as taker:
        messages = taker.until(5)
        for message in (messages[0], messages[1], messages[3], messages[4]):
            message.ack()
        messages[2].requeue()
        taker.until_acked()
        taker.die()

    assert left(queue, 1) == [2]


def test_what_waited_when_the_worker_died_comes_again(broker_url: str, queue: Queue, sent_acks: list[bool]) -> None:
    send(queue, 3)

    with taking(broker_url, queue) as taker:
        for message in taker.until(3):
            message.ack()
        taker.die()

    assert not sent_acks
    assert left(queue, 3) == [0, 1, 2]


def test_what_waited_when_the_worker_ended_in_good_order_is_acked(broker_url: str, queue: Queue) -> None:
    send(queue, 3)

    with taking(broker_url, queue) as taker:
        for message in taker.until(3):
            message.ack()

    assert left(queue, 0) == []


def test_who_may_hold_few_acks_at_once(broker_url: str, queue: Queue, sent_acks: list[bool]) -> None:
    send(queue, 2)

    with taking(broker_url, queue, held=2) as taker:
        taker.until(1)[0].ack()
        assert len(sent_acks) == 1


def test_nothing_is_counted_of_those_that_need_no_ack(broker_url: str, queue: Queue) -> None:
    send(queue, 3)

    with taking(broker_url, queue, no_ack=True) as taker:
        taker.until(3)
        assert not taker.channel._open


def test_it_stays_so_with_another_node_of_the_cluster(broker_url: str) -> None:
    with Connection(f"amqp://127.0.0.1:1//;{broker_url}", connect_timeout=5) as connection:
        connection.ensure_connection(max_retries=2, interval_start=0)

        assert isinstance(connection.default_channel, acks.Channel)
