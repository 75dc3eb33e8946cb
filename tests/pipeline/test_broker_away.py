"""What happens to tasks while RabbitMQ is away, and after."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import transaction
from django.db.transaction import TransactionManagementError
from django_celery_results.models import TaskResult
from kombu import Connection
from kombu.exceptions import OperationalError

from project.services.rabbitmq import Node
from routing.broker import topology
from routing.domains import registry
from tests import probe
from tests.dead_broker import absent_broker
from tests.waiting import until
from tests.workers import Process

__all__ = ["absent_broker"]

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]

StartWorker = Callable[..., Process]


@pytest.fixture
def node(broker_node: Node | None) -> Node:
    """The suite's own node, which this test may stop; a broker of somebody else's it may not."""
    if broker_node is None:
        pytest.skip("BROKER_URL names a broker that this test must not stop")
    return broker_node


def test_a_pool_serves_its_queue_again_after_the_broker_restarted(
    start_worker: StartWorker, node: Node, tmp_path: Path
) -> None:
    journal = str(tmp_path / "journal")
    start_worker("reporting")
    waiting = probe.notify.delay(journal)

    node.control("stop_app")
    node.control("start_app")

    after = probe.report.delay(journal)
    until(lambda: after.state == "SUCCESS", seconds=60, what="a task sent after the restart")
    assert waiting.state == "PENDING"
    start_worker("notifications")
    until(lambda: waiting.state == "SUCCESS", what="a task that waited through the restart")


def test_no_exchange_for_native_delayed_delivery_exists(start_worker: StartWorker, node: Node, tmp_path: Path) -> None:
    start_worker("reporting")
    delayed = probe.report.apply_async((str(tmp_path / "journal"),), countdown=0.5)
    until(lambda: delayed.state == "SUCCESS", what="the delayed task")

    exchanges = node.control("list_exchanges", "name", "--quiet").split()

    assert not [name for name in exchanges if name.startswith("celery_delayed")]
    assert {"taskyard", "taskyard.dead", "taskyard.unrouted"} <= set(exchanges)


def test_every_queue_is_a_quorum_queue_with_a_dead_letter_target(clean_broker: Connection, node: Node) -> None:
    listed = node.control("list_queues", "name", "type", "arguments", "--quiet").splitlines()

    lanes = [line for line in listed if line.split("\t")[0] in registry().pools]
    assert len(lanes) == len(registry().pools)
    assert all("\tquorum\t" in line and '"x-dead-letter-exchange","taskyard.dead"' in line for line in lanes)


@pytest.mark.django_db
def test_a_task_that_could_not_be_published_is_not_promised(absent_broker: None) -> None:
    with pytest.raises(OperationalError):
        probe.report.delay("nowhere")

    assert not TaskResult.objects.exists()


@pytest.mark.django_db
def test_a_second_publication_that_fails_leaves_the_firsts_row(absent_broker: None) -> None:
    TaskResult.objects.create(task_id="mine", status="PENDING")

    with pytest.raises(OperationalError):
        probe.report.apply_async(("nowhere",), task_id="mine")

    assert TaskResult.objects.filter(task_id="mine", status="PENDING").exists()


def test_a_message_that_the_broker_refuses_is_not_promised(
    clean_broker: Connection, transactional_db: None, node: Node
) -> None:
    node.control("set_policy", "full", "^reporting$", '{"max-length": 1}', "--apply-to", "queues")
    try:
        with pytest.raises(OperationalError, match=r"RabbitMQ refused the message of reporting\.probe"):
            _enqueue_without_end()
    finally:
        node.control("clear_policy", "full")

    depth = topology.depths(clean_broker, ["reporting"])["reporting"]
    assert depth is not None
    assert TaskResult.objects.count() == depth.ready > 0


def _enqueue_without_end() -> None:
    for _ in range(100):
        probe.report.delay("nowhere")


def test_a_task_whose_row_cannot_be_written_is_not_published(clean_broker: Connection, transactional_db: None) -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            probe.report.delay("nowhere")

    depth = topology.depths(clean_broker, ["reporting"])["reporting"]
    assert depth is not None
    assert depth.ready == 0
