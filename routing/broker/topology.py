"""The exchanges, queues and bindings that the domains imply. docs/topology.md shows the table.

Figures that RabbitMQ fixes at declaration (queue type, dead-letter target, delivery limit) are alike for every
domain, so that changing a domain never meets a queue declared otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from amqp.exceptions import NotFound
from django.db import DatabaseError, InterfaceError
from kombu import Connection, Exchange, Queue

from routing.domains import Domain

DELIVERY_LIMIT = 50
"""A far backstop only: RabbitMQ counts each return, also of messages that were held and never ran."""

UNROUTED = Exchange("taskyard.unrouted", type="fanout", durable=True)
TASKS = Exchange("taskyard", type="topic", durable=True, arguments={"alternate-exchange": UNROUTED.name})
DEAD = Exchange("taskyard.dead", type="direct", durable=True)

UNROUTED_QUEUE = Queue("taskyard.unrouted", exchange=UNROUTED, durable=True, queue_arguments={"x-queue-type": "quorum"})


@dataclass(frozen=True)
class QueueDepth:
    """What RabbitMQ says of a queue. ``ready`` leaves out what workers hold and what they run."""

    name: str
    ready: int
    consumers: int


def task_queues(domains: Iterable[Domain]) -> list[Queue]:
    """One quorum queue per lane, for ``CELERY_TASK_QUEUES``."""
    return [_lane_queue(name, domain) for domain in domains for name in domain.queues]


def dead_letter_queues(domains: Iterable[Domain]) -> list[Queue]:
    """One quorum queue per domain, where its messages land that no worker could process."""
    return [
        Queue(
            domain.dead_letter_queue,
            exchange=DEAD,
            routing_key=domain.name,
            durable=True,
            queue_arguments={"x-queue-type": "quorum"},
        )
        for domain in domains
    ]


def declare(connection: Connection, domains: Iterable[Domain]) -> list[Queue]:
    """Declare all of it, and have the ledger publish again what was in lanes that are gone. Safe to call again.

    Returns the queues in the order of declaration. Raises ConnectionError where the database is away.
    """
    # Django's settings import this module before there are models.
    from routing.ledger import redrive

    domains = tuple(domains)
    try:
        # First the ledger: once a queue is declared, nothing tells any more that it had been lost.
        redrive.after_loss(missing(connection, task_queues(domains)))
    except (DatabaseError, InterfaceError) as error:
        # For whoever connects it is one thing: not now, and try again.
        raise ConnectionError(f"The ledger's database is away, so no queue is declared: {error}") from error
    return create(connection, domains)


def create(connection: Connection, domains: Iterable[Domain]) -> list[Queue]:
    """Declare all of it. For a broker that holds none of the ledger's messages; otherwise ``declare``."""
    declared = queues(domains)
    with connection.channel() as channel:
        for queue in declared:
            queue(channel).declare()
    return declared


def queues(domains: Iterable[Domain]) -> list[Queue]:
    """Dead-letter side first, so that no queue ever lacks its dead-letter target."""
    domains = tuple(domains)
    return [UNROUTED_QUEUE, *dead_letter_queues(domains), *task_queues(domains)]


def missing(connection: Connection, queues: Iterable[Queue]) -> list[str]:
    """The names of those that do not exist."""
    return [queue.name for queue in queues if message_count(connection, queue.name) is None]


def message_count(connection: Connection, queue: str) -> int | None:
    """How many messages are ready there; None if there is no such queue.

    Raises the connection's channel errors for a queue that exists and cannot be reached: it has lost nothing yet.
    """
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)  # type: ignore[attr-defined]
        except NotFound as error:
            if not is_missing(error):
                raise
            return None


def is_missing(error: NotFound) -> bool:
    """Whether there is no such queue, rather than one whose node or majority is away for now."""
    return "no queue" in str(error.reply_text)


def depths(connection: Connection, names: Iterable[str]) -> dict[str, QueueDepth | None]:
    """Ready messages and consumers of each queue; None where the queue does not exist.

    A passive declaration needs no management plugin. A missing queue closes the channel, hence one for each.
    """
    found: dict[str, QueueDepth | None] = {}
    for name in names:
        with connection.channel() as channel:
            try:
                _, ready, consumers = channel.queue_declare(name, passive=True)  # type: ignore[attr-defined]
            except connection.channel_errors:
                found[name] = None
            else:
                found[name] = QueueDepth(name, ready, consumers)
    return found


def _lane_queue(name: str, domain: Domain) -> Queue:
    return Queue(
        name,
        exchange=TASKS,
        routing_key=name,
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD.name,
            "x-dead-letter-routing-key": domain.name,
            # At-least-once dead-lettering is only to be had together with reject-publish
            # (rabbitmq.com/docs/quorum-queues#dead-lettering).
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
