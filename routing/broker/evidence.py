"""Evidence that RabbitMQ has lost messages: the marker message is gone, or a queue has to be declared again.

In this order, so that a crash leaves the evidence where it was: the ledger publishes again, the queues are declared,
the marker is put back.
"""

from collections.abc import Iterable

from amqp import Message
from kombu import Connection

from routing import faults
from routing.broker import topology
from routing.domains import Domain
from routing.ledger import marker, redrive

PREFIX = "taskyard.marker."
PUT_WITHIN = 5
"""Seconds."""


def examine(connection: Connection, domains: Iterable[Domain]) -> bool:
    """Look, and put right what is gone. Whether something was. Safe to call again, and from several relays at once."""
    domains = tuple(domains)
    queue = PREFIX + marker.current().name
    marked = topology.message_count(connection, queue)
    is_marked = bool(marked)
    missing = topology.missing(connection, topology.queues(domains))
    if is_marked and not missing:
        return False
    redrive.after_loss(missing if is_marked else None)
    topology.create(connection, domains)
    faults.point("redrive.declared")
    if not is_marked:
        try:
            _put(connection, queue)
        except TimeoutError:
            if marked is not None:
                # A node that was killed within a second of creating a quorum queue knows it ever after, and neither
                # takes a message for it nor deletes it (seen with 3.10.8). Another name, then.
                marker.renew()
            raise
    return True


def _put(connection: Connection, queue: str) -> None:
    """As durable as any task: were the marker to survive what tasks do not, it would prove nothing."""
    with connection.channel() as channel:
        # However many relays put it there, one message it is.
        arguments = {"x-queue-type": "quorum", "x-max-length": 1}
        channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)  # type: ignore[attr-defined]
        message = Message("Taskyard: this message shows that the broker has kept what it confirmed.", delivery_mode=2)
        channel.basic_publish_confirm(message, exchange="", routing_key=queue, timeout=PUT_WITHIN)  # type: ignore[attr-defined]
