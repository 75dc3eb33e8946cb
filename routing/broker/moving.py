"""Moving messages from one queue to another, byte for byte, and deleting the one they leave."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from amqp import Message
from kombu import Connection

from routing import faults
from routing.broker import topology
from routing.broker.names import physical
from routing.broker.sending import EPOCH_HEADER
from routing.ledger import queues

BATCH = 200
CONFIRMED_WITHIN = 15
"""Seconds."""

Choice = Callable[[Sequence[Message]], list[Message]]


class Unmovable(Exception):
    """RabbitMQ did not take a message for the queue it is moved to. It stays where it is."""


def everything(messages: Sequence[Message]) -> list[Message]:
    return list(messages)


def strangers(messages: Sequence[Message]) -> list[Message]:
    """Those that only the broker has. The others are in the ledger, which publishes them again."""
    known = queues.known_tasks(str(_headers(one)["id"]) for one in messages if _is_ours(one))
    return [one for one in messages if not _is_ours(one) or str(_headers(one)["id"]) not in known]


def empty_and_delete(
    connection: Connection, source: str, target: str, *, choose: Choice, still_mine: Callable[[int], None]
) -> int:
    """Move what is chosen, and delete the queue with the rest. Returns how many were moved. Nobody may consume it.

    A crash before the deletion gives the rest back to the queue; one after a publication leaves a message in both.
    ``still_mine`` raises where somebody else has taken the queue over; it is told how many messages we hold, each of
    which RabbitMQ counts as a consumer.
    """
    moved, kept = 0, 0
    with connection.channel() as taking, connection.channel() as giving:
        into = _Target(giving, physical(target))
        # What is not moved stays unacknowledged: only the deletion ends it.
        while batch := list(islice(_taken(taking, physical(source)), BATCH)):
            kept += len(batch)
            still_mine(kept)
            for message in choose(batch):
                into.publish(message)
                faults.point("topology.copied")
                taking.basic_ack(message.delivery_info["delivery_tag"])  # type: ignore[attr-defined]
                moved, kept = moved + 1, kept - 1
        still_mine(kept)
        faults.point("topology.emptied")
        taking.queue_delete(physical(source))  # type: ignore[attr-defined]
        faults.point("topology.deleted")
    return moved


def exists(connection: Connection, queue: str) -> bool:
    return topology.message_count(connection, queue) is not None


class _Target:
    """Takes messages, and confirms each."""

    def __init__(self, channel: Any, queue: str) -> None:
        self._channel, self._queue = channel, queue
        self._returned: list[str] = []
        channel.events["basic_return"].add(lambda _code, reason, *_: self._returned.append(reason))

    def publish(self, message: Message) -> None:
        # RabbitMQ's own note on this delivery.
        _headers(message).pop("x-delivery-count", None)
        copy = Message(message.body, **message.properties)
        self._channel.basic_publish_confirm(
            copy, exchange="", routing_key=self._queue, mandatory=True, confirm_timeout=CONFIRMED_WITHIN
        )
        if self._returned:
            raise Unmovable(f"The queue {self._queue} took no message: {self._returned[0]}")


def _taken(channel: Any, queue: str) -> Iterator[Message]:
    while (message := channel.basic_get(queue)) is not None:
        yield message


def _is_ours(message: Message) -> bool:
    headers = _headers(message)
    return headers.get(EPOCH_HEADER) is not None and headers.get("id") is not None


def _headers(message: Message) -> dict[str, Any]:
    headers: dict[str, Any] = message.properties.get("application_headers") or {}
    return headers
