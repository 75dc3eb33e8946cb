"""The exchanges, queues and bindings that the domains imply. docs/topology.md shows the table.

Figures that RabbitMQ fixes at declaration (queue type, dead-letter target, delivery limit) are alike for every
domain, so that changing a domain never meets a queue declared otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass

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
    """Declare all of it, dead-letter side first, so that no queue ever lacks its dead-letter target.

    Safe to call again. Returns the queues in the order of declaration.
    """
    domains = tuple(domains)
    queues = [UNROUTED_QUEUE, *dead_letter_queues(domains), *task_queues(domains)]
    with connection.channel() as channel:
        for queue in queues:
            queue(channel).declare()
    return queues


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
