"""The exchanges, queues and bindings that the domains imply. docs/topology.md shows the table.

Whoever finds one missing declares it. What is there, if otherwise than the code has it, is left alone: to change it is
``manage.py topology apply``'s, and nobody meets a 406 meanwhile.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from kombu import Connection, Exchange, Queue

from routing.broker.names import logical, physical
from routing.domains import Domain

logger = logging.getLogger(__name__)

DELIVERY_LIMIT = 50
"""A far backstop only: RabbitMQ counts each return, also of messages that were held and never ran."""
KEPT = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
"""For queues with nothing behind them: RabbitMQ 4 would by itself drop what is given back to one 20 times."""
MOVING = ".moving"
"""After a queue's name: where apply keeps what no ledger knows, while it makes the queue anew."""

UNROUTED = Exchange(physical("taskyard.unrouted"), type="fanout", durable=True)
TASKS = Exchange(physical("taskyard"), type="topic", durable=True, arguments={"alternate-exchange": UNROUTED.name})
DEAD = Exchange(physical("taskyard.dead"), type="direct", durable=True)
EXCHANGES = (UNROUTED, TASKS, DEAD)

UNROUTED_QUEUE = Queue(
    physical("taskyard.unrouted"),
    exchange=UNROUTED,
    durable=True,
    queue_arguments=dict(KEPT),
    no_declare=True,
)


class Undeclarable(Exception):
    """Something is missing on RabbitMQ, and this user may not declare it. The message tells the cure."""

    def __init__(self, names: Collection[str], user: str) -> None:
        what = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
        super().__init__(
            f"{what} missing on RabbitMQ, and its user {user} may declare nothing. Run manage.py topology apply with "
            "the BROKER_URL of a user who may."
        )
        self.names = tuple(names)


@dataclass(frozen=True)
class QueueDepth:
    """What RabbitMQ says of a queue. ``ready`` leaves out what workers hold and what they run."""

    name: str
    ready: int
    consumers: int


def task_queues(domains: Iterable[Domain], *, delivery_limit: int | None = None) -> list[Queue]:
    """One quorum queue per lane, for ``CELERY_TASK_QUEUES``. Celery declares none of them."""
    limit = settings.TASKYARD_DELIVERY_LIMIT if delivery_limit is None else delivery_limit
    return [_lane_queue(name, domain, limit) for domain in domains for name in domain.queues]


def dead_letter_queues(domains: Iterable[Domain]) -> list[Queue]:
    """One quorum queue per domain, where its messages land that no worker could process."""
    return [
        Queue(
            physical(domain.dead_letter_queue),
            exchange=DEAD,
            routing_key=domain.name,
            durable=True,
            queue_arguments=dict(KEPT),
            no_declare=True,
        )
        for domain in domains
    ]


def declare(connection: Connection, domains: Iterable[Domain]) -> list[Queue]:
    """Declare what is missing, and have the ledger publish again what was in lanes that are gone. Safe to call again.

    Returns the queues in the order of declaration. Raises ConnectionError where the database is away, Undeclarable.
    """
    # Django's settings import this module before there are models.
    from routing.ledger import queues as ledger_queues
    from routing.ledger import redrive

    domains = tuple(domains)
    if not missing(connection, queues(domains)):
        return create(connection, domains)
    try:
        held = ledger_queues.held()
        # First the ledger: once a queue is declared, nothing tells any more that it had been lost.
        redrive.after_loss(missing(connection, task_queues(domains), leaving=held))
        declared = create(connection, domains, leaving=held)
        ledger_queues.remember(logical(queue.name) for queue in declared)
    except (DatabaseError, InterfaceError) as error:
        # For whoever connects it is one thing: not now, and try again.
        raise ConnectionError(f"The ledger's database is away, so no queue is declared: {error}") from error
    return declared


def create(connection: Connection, domains: Iterable[Domain], *, leaving: Collection[str] = ()) -> list[Queue]:
    """Declare what is missing, but for the queues named in ``leaving``. Raises Undeclarable, when the rest is there.

    For a broker that holds none of the ledger's messages; otherwise ``declare``.
    """
    wanted = [queue for queue in queues(domains) if logical(queue.name) not in leaving]
    refused: list[str] = []
    new = [exchange for exchange in EXCHANGES if not exists(connection, exchange)]
    for exchange in new:
        _make(connection, exchange, refused)
    gone = set(missing(connection, wanted))
    for queue in wanted:
        if logical(queue.name) in gone:
            _make(connection, queue, refused)
        elif queue.exchange in new and logical(queue.exchange.name) not in refused:
            bind(connection, queue)
    if refused:
        raise Undeclarable(refused, connection.userid or "guest")
    return wanted


def queues(domains: Iterable[Domain]) -> list[Queue]:
    """Dead-letter side first, so that no queue ever lacks its dead-letter target."""
    domains = tuple(domains)
    return [UNROUTED_QUEUE, *dead_letter_queues(domains), *task_queues(domains)]


def missing(connection: Connection, queues: Iterable[Queue], *, leaving: Collection[str] = ()) -> list[str]:
    """The names of those that do not exist, but for those in ``leaving``."""
    names = [name for queue in queues if (name := logical(queue.name)) not in leaving]
    return [name for name in names if message_count(connection, name) is None]


def message_count(connection: Connection, queue: str) -> int | None:
    """How many messages are ready there; None if there is no such queue.

    Raises the connection's channel errors for a queue that exists and cannot be reached: it has lost nothing yet.
    """
    found = depth(connection, queue)
    return None if found is None else found.ready


def depth(connection: Connection, queue: str) -> QueueDepth | None:
    """As ``message_count``, with the consumers. Needs no management plugin, and no rights."""
    with connection.channel() as channel:
        try:
            _, ready, consumers = channel.queue_declare(physical(queue), passive=True)  # type: ignore[attr-defined]
        except NotFound as error:
            if not is_missing(error):
                raise
            return None
        return QueueDepth(queue, ready, consumers)


def exists(connection: Connection, exchange: Exchange) -> bool:
    with connection.channel() as channel:
        try:
            exchange(channel).declare(passive=True)
        except NotFound:
            return False
    return True


def is_missing(error: NotFound) -> bool:
    """Whether there is no such queue, rather than one whose node or majority is away for now."""
    return "no queue" in str(error.reply_text)


def depths(connection: Connection, names: Iterable[str]) -> dict[str, QueueDepth | None]:
    """Ready messages and consumers of each queue; None where the queue does not exist, or cannot be reached."""
    found: dict[str, QueueDepth | None] = {}
    for name in names:
        try:
            found[name] = depth(connection, name)
        except connection.channel_errors:
            found[name] = None
    return found


def bind(connection: Connection, queue: Queue) -> None:
    """Safe to call again."""
    with connection.channel() as channel:
        queue(channel).queue_bind()


def _make(connection: Connection, what: Queue | Exchange, refused: list[str]) -> None:
    """A missing one. Another process may be quicker, and have other arguments in mind: apply is there for that."""
    with connection.channel() as channel:
        try:
            if isinstance(what, Queue):
                what(channel).queue_declare()
            else:
                what(channel).declare()
        except PreconditionFailed as error:
            logger.warning("%s was declared by another process, and otherwise: %s", what.name, error)
        except AccessRefused:
            refused.append(logical(what.name))
            return
    if isinstance(what, Queue):
        bind(connection, what)


def _lane_queue(name: str, domain: Domain, delivery_limit: int) -> Queue:
    return Queue(
        physical(name),
        exchange=TASKS,
        routing_key=name,
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": delivery_limit,
            "x-dead-letter-exchange": DEAD.name,
            "x-dead-letter-routing-key": domain.name,
            # At-least-once dead-lettering is only to be had together with reject-publish
            # (rabbitmq.com/docs/quorum-queues#dead-lettering).
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
        no_declare=True,
    )
