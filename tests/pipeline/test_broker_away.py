"""What happens to tasks while RabbitMQ is away, and after."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django_celery_results.models import TaskResult
from kombu import Connection

from project.services.rabbitmq import Node
from routing.domains import registry
from routing.ledger import audit
from routing.ledger.tables import Message, Outbox
from tests import probe as typed_probe
from tests.services import Broker
from tests.waiting import until
from tests.workers import Process

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.broker, pytest.mark.one_database]

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


def test_a_wiped_broker_costs_no_task(start_worker: StartWorker, broker: Broker, tmp_path: Path) -> None:
    """Some tasks run, some wait in a queue, some are held by a worker, and one has yet to fall due."""
    journal, release = tmp_path / "journal", tmp_path / "release"
    start_worker("reporting")
    running = probe.wait_for_file.delay(str(tmp_path / "running"), str(release))
    until(lambda: running.state == "STARTED", what="the run")
    held = [probe.add.delay(n, n) for n in range(20)]
    waiting = [probe.notify.delay(str(journal)) for _ in range(20)]
    later = probe.add.apply_async((1, 1), countdown=5)
    until(lambda: Outbox.objects.count() == 1, what="all but the last to be published")

    broker.wipe()
    broker.start()
    release.touch()
    start_worker("notifications")

    until(lambda: not Message.objects.exists(), seconds=90, what="all outcomes")
    outcomes = TaskResult.objects.filter(task_id__in=[one.id for one in (running, later, *held, *waiting)])
    assert [row.status for row in outcomes] == ["SUCCESS"] * 42
    assert (tmp_path / "running").read_text().splitlines() == ["run"]
    assert len(journal.read_text().splitlines()) == 20
    assert audit.audit().balances


def test_a_deleted_queue_costs_no_task(start_worker: StartWorker, node: Node, tmp_path: Path) -> None:
    start_worker("reporting")
    waiting = [probe.notify.delay(str(tmp_path / "journal")) for _ in range(5)]
    until(lambda: not Outbox.objects.exists(), what="all to be published")

    node.control("delete_queue", "notifications")
    start_worker("notifications")

    until(lambda: not Message.objects.exists(), seconds=60, what="all outcomes")
    assert {one.state for one in waiting} == {"SUCCESS"}


def test_a_running_task_outlives_broker_restarts_and_runs_once(
    start_worker: StartWorker, node: Node, tmp_path: Path
) -> None:
    journal, release = tmp_path / "journal", tmp_path / "release"
    start_worker("reporting")
    long = probe.wait_for_file.delay(str(journal), str(release))
    until(lambda: long.state == "STARTED", what="the run")

    for _ in range(3):
        node.control("stop_app")
        node.control("start_app")
        # The broker gives the message again, and it waits behind the run that goes on.
        until(lambda: _consumers(node) == 1, what="the worker's return")
    release.touch()

    until(lambda: long.state == "SUCCESS", what="the outcome")
    assert journal.read_text().splitlines() == ["run"]


def _consumers(node: Node) -> int:
    listed = node.control("list_queues", "name", "consumers", "--quiet").splitlines()
    return int(dict(line.split("\t") for line in listed).get("reporting", 0))
