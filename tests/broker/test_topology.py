"""The queues on a real broker."""

from collections.abc import Iterator

import pytest
from kombu import Connection, Message, Queue

from project.domains import DOMAINS
from routing.broker import topology
from tests.waiting import until

pytestmark = pytest.mark.broker


@pytest.fixture
def connection(broker_url: str) -> Iterator[Connection]:
    with Connection(broker_url) as connection:
        topology.create(connection, DOMAINS)
        yield connection


def test_every_lane_and_domain_has_its_queue(connection: Connection) -> None:
    names = [
        "notifications",
        "notifications.urgent",
        "notifications.bulk",
        "notifications.dead",
        "taskyard.unrouted",
    ]

    depths = topology.depths(connection, [*names, "no.such.queue"])

    assert depths.pop("no.such.queue") is None
    assert all(depth is not None and depth.ready == 0 for depth in depths.values())


@pytest.mark.django_db
def test_declaring_again_changes_nothing(connection: Connection) -> None:
    first = topology.declare(connection, DOMAINS)

    assert topology.declare(connection, DOMAINS) == first


def test_a_rejected_message_lands_in_its_domains_dead_letter_queue(connection: Connection) -> None:
    queue = next(q for q in topology.task_queues(DOMAINS) if q.name == "reporting")(connection.default_channel)
    connection.Producer().publish("poison", exchange=topology.TASKS, routing_key="reporting")

    _get(queue).reject(requeue=False)

    dead = next(q for q in topology.dead_letter_queues(DOMAINS) if q.name == "reporting.dead")
    assert _get(dead(connection.default_channel)).body == "poison"


def test_a_misrouted_message_is_kept(connection: Connection) -> None:
    connection.Producer().publish("lost?", exchange=topology.TASKS, routing_key="no.such.queue")

    assert _get(topology.UNROUTED_QUEUE(connection.default_channel)).body == "lost?"


def _get(queue: Queue) -> Message:
    """The queue's next message, once it has arrived."""
    return until(queue.get, what=f"a message in {queue.name}")
