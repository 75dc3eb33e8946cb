"""Evidence that RabbitMQ has lost messages: the marker message is gone, or a queue has to be declared again.

In this order, so that a crash leaves the evidence where it was: the ledger publishes again, the queues are declared,
the marker is put back.
"""

from collections.abc import Iterable

from amqp import Message
from amqp.exceptions import AccessRefused
from kombu import Connection

from routing import faults
from routing.broker import topology
from routing.broker.names import logical, physical
from routing.domains import Domain
from routing.ledger import marker, queues, redrive

PREFIX = "taskyard.marker."
MARKER = "the broker's marker"
PUT_WITHIN = 5
"""Seconds."""


def examine(connection: Connection, domains: Iterable[Domain]) -> bool:
    """Look, and put right what is gone. Whether something was. Safe to call again, and from several relays at once.

    Raises Undeclarable. Where it names no MARKER, the queues that are there may go on being used.
    """
    domains, held = tuple(domains), queues.held()
    queue = physical(PREFIX + marker.current().name)
    marked = topology.message_count(connection, queue)
    is_marked = bool(marked)
    # What an apply keeps to itself it declares itself, or leaves its absence as evidence.
    missing = topology.missing(connection, topology.queues(domains), leaving=held)
    if is_marked and not missing:
        return False
    redrive.after_loss(missing if is_marked else None)
    refusal = _declare(connection, domains, held)
    faults.point("redrive.declared")
    if not is_marked:
        try:
            _put(connection, queue, exists=marked is not None)
        except AccessRefused:
            missing_too = refusal.names if refusal else ()
            raise topology.Undeclarable([MARKER, *missing_too], connection.userid or "guest") from None
        except TimeoutError:
            if marked is not None:
                # A node that was killed within a second of creating a quorum queue knows it ever after, and neither
                # takes a message for it nor deletes it (seen with 3.10.8). Another name, then.
                marker.renew()
            raise
    if refusal:
        raise refusal
    return True


def _declare(connection: Connection, domains: tuple[Domain, ...], held: set[str]) -> topology.Undeclarable | None:
    try:
        declared = topology.create(connection, domains, leaving=held)
    except topology.Undeclarable as refusal:
        return refusal
    queues.remember(logical(queue.name) for queue in declared)
    return None


def _put(connection: Connection, queue: str, *, exists: bool) -> None:
    """As durable as any task: were the marker to survive what tasks do not, it would prove nothing."""
    with connection.channel() as channel:
        # However many relays put it there, one message it is.
        arguments = {"x-queue-type": "quorum", "x-max-length": 1}
        if not exists:
            channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)  # type: ignore[attr-defined]
        message = Message("Taskyard: this message shows that the broker has kept what it confirmed.", delivery_mode=2)
        channel.basic_publish_confirm(message, exchange="", routing_key=queue, timeout=PUT_WITHIN)  # type: ignore[attr-defined]
