"""A worker whose broker goes away, closes its channel or takes its queue; and what it runs meanwhile."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import current_app
from celery.result import AsyncResult
from kombu import Connection

from project.services.rabbitmq import Node
from routing.broker import topology
from routing.domains import registry
from routing.ledger.tables import Process as Row
from tests import probe
from tests.services import Broker
from tests.waiting import until
from tests.workers import StartWorker

pytestmark = [pytest.mark.pipeline, pytest.mark.broker, pytest.mark.any_database]

RESTARTS = int(os.environ.get("RESTARTS", "2"))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tmp_path / "release"


def succeeded(result: AsyncResult[object]) -> bool:
    return until(lambda: result.state == "SUCCESS", seconds=60, what=f"the success of {result.id}")


def consumers(broker: Connection, queue: str) -> int:
    depth = topology.depths(broker, [queue])[queue]
    return depth.consumers if depth else 0


def test_a_running_task_survives_a_restart_of_the_broker(
    start_worker: StartWorker, broker: Broker, journal: Path, release: Path
) -> None:
    worker = start_worker("reporting")
    result = probe.wait_for_file.delay(str(journal), str(release))
    until(lambda: probe.runs(journal) == 1, what="the run")

    broker.kill()
    broker.start()
    release.touch()

    succeeded(result)
    assert probe.runs(journal) == 1
    succeeded(probe.report.delay(str(journal)))
    assert worker.popen.poll() is None
    assert not worker.says("CPendingDeprecationWarning")
    assert not worker.says("Traceback")


@pytest.fixture
def short_consumer_timeout(broker_node: Node | None) -> Iterator[None]:
    """RabbitMQ takes back what is held for two seconds, and looks every half second."""
    if broker_node is None:
        pytest.skip("BROKER_URL names a broker that this test must not change")
    _set(broker_node, consumer_timeout=2_000, channel_tick_interval=500)
    yield
    _set(broker_node, consumer_timeout=1_800_000, channel_tick_interval=60_000)


def _set(node: Node, **figures: int) -> None:
    for name, value in figures.items():
        node.control("eval", f"application:set_env(rabbit, {name}, {value}).")


def test_a_channel_that_the_broker_closes_ends_neither_worker_nor_task(
    start_worker: StartWorker, short_consumer_timeout: None, journal: Path, release: Path
) -> None:
    worker = start_worker("reporting", "--concurrency=1")
    result = probe.wait_for_file.delay(str(journal), str(release))

    worker.until_it_says("PRECONDITION_FAILED")
    release.touch()

    succeeded(result)
    assert probe.runs(journal) == 1
    succeeded(probe.add.delay(1, 2))
    assert worker.popen.poll() is None


def test_a_worker_whose_queue_was_deleted_comes_back_and_loses_nothing(
    start_worker: StartWorker, clean_broker: Connection, journal: Path
) -> None:
    worker = start_worker("reporting")

    clean_broker.channel().queue_delete("reporting")  # type: ignore[attr-defined]

    until(lambda: consumers(clean_broker, "reporting") == 1, what="the worker to consume from a new queue")
    succeeded(probe.report.delay(str(journal)))
    assert worker.popen.poll() is None


def test_a_worker_that_takes_no_messages_says_so(start_worker: StartWorker) -> None:
    worker = start_worker("reporting")
    own = Row.objects.filter(pid=worker.popen.pid)
    until(own.filter(consuming=True).exists, what="the worker to consume")

    current_app.control.cancel_consumer("reporting")

    row = until(own.filter(consuming=False).first, what="the worker to notice")
    assert row.trouble.startswith(f"The worker {row.name} is alive but has taken no messages for ")
    current_app.control.add_consumer("reporting")
    until(own.filter(consuming=True, trouble="").exists, what="the worker to consume again")


def test_after_restarts_of_the_broker_each_pool_serves_its_own_queue_and_only_that(
    start_worker: StartWorker, broker: Broker, broker_url: str, journal: Path
) -> None:
    workers = {queue: start_worker(queue) for queue in ("reporting", "notifications")}
    sent: list[AsyncResult[object]] = []

    for _ in range(RESTARTS):
        sent += _load(journal)
        broker.kill()
        sent += _load(journal)
        broker.start()
        until(lambda: _served(broker_url) == set(workers), seconds=60, what="both pools to consume")
    sent += _load(journal)

    for result in sent:
        succeeded(result)
    assert probe.runs(journal) == len(sent)
    assert all(worker.popen.poll() is None for worker in workers.values())
    waiting = probe.notify.apply_async((str(journal),), queue="notifications.urgent")
    succeeded(probe.report.delay(str(journal)))
    assert waiting.state == "PENDING"
    assert {row.name.partition("@")[0] for row in Row.objects.filter(role="worker", dead_at=None)} == set(workers)


def _load(journal: Path) -> list[AsyncResult[object]]:
    return [task.delay(str(journal)) for task in (probe.report, probe.notify) for _ in range(10)]


def _served(url: str) -> set[str]:
    with Connection(url) as connection:
        depths = topology.depths(connection, registry().pools)
    return {name for name, depth in depths.items() if depth and depth.consumers == 1}
