"""A paused queue, with real relays, workers and RabbitMQ: nothing of it is published or started until it is resumed."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from kombu import Connection

from project.services.rabbitmq import Node
from routing.broker import topology
from routing.ledger import audit, pauses
from routing.ledger.tables import Message, Outbox
from routing.ledger.tables import Process as Row
from tests import probe as typed_probe
from tests.pipeline.test_workers import finished, state_of
from tests.services import Postgresql
from tests.waiting import until
from tests.workers import Process, StartRelay, StartWorker, prefetched

probe: Any = typed_probe

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]

QUEUE = "reporting"


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


def pause() -> None:
    assert pauses.pause(QUEUE, by="ann", reason="the other side is down")
    until(lambda: not pauses.unconfirmed(QUEUE), what="everybody's confirmation")


def ready(broker: Connection) -> int:
    depth = topology.depths(broker, [QUEUE])[QUEUE]
    assert depth is not None
    return depth.ready


def consumers(broker: Connection) -> int:
    depth = topology.depths(broker, [QUEUE])[QUEUE]
    assert depth is not None
    return depth.consumers


def test_nothing_is_published_or_started_until_the_queue_is_resumed(
    start_worker: StartWorker, clean_broker: Connection, journal: str
) -> None:
    start_worker(QUEUE)
    finished(probe.report.delay(journal))
    pause()
    until(lambda: consumers(clean_broker) == 0, what="the end of consuming")

    waiting = [probe.report.delay(journal) for _ in range(3)]
    other = probe.notify.apply_async((journal,), queue="notifications")

    # The relay works on: what goes to another queue is out.
    until(lambda: not Outbox.objects.filter(message_id=other.id).exists(), what="another queue's publication")
    assert (ready(clean_broker), Outbox.objects.count(), probe.runs(journal)) == (0, 3, 1)
    assert [state_of(one) for one in waiting] == ["PENDING"] * 3

    assert pauses.resume(QUEUE, by="ann")
    assert [finished(one).status for one in waiting] == ["SUCCESS"] * 3
    until(lambda: consumers(clean_broker) == 1, what="its consumer")


def test_what_was_prefetched_goes_back_unstarted_while_the_running_task_finishes(
    start_worker: StartWorker, clean_broker: Connection, journal: str, tmp_path: Path
) -> None:
    start_worker(QUEUE, "--prefetch-multiplier=5")
    release = tmp_path / "release"
    running = probe.wait_for_file.delay(journal, str(release))
    until(lambda: state_of(running) == "STARTED", what="its start")
    held = [probe.report.delay(journal) for _ in range(3)]
    published = Message.objects.exclude(pk=running.id)
    until(lambda: {one.id for one in held} <= prefetched(clean_broker), what="three prefetched messages")
    due = dict(published.values_list("pk", "due_at"))

    pause()

    until(lambda: Outbox.objects.count() == len(held), what="their return to the ledger")
    assert set(published.values_list("epoch", "runs", "state", "owner")) == {(2, 0, "PENDING", None)}
    assert dict(published.values_list("pk", "due_at")) == due
    release.touch()
    assert finished(running).status == "SUCCESS"
    assert (probe.runs(journal), ready(clean_broker)) == (1, 0)

    pauses.resume(QUEUE, by="ann")
    assert [finished(one).status for one in held] == ["SUCCESS"] * 3
    assert probe.runs(journal) == 4
    assert audit.audit().balances


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_workers_that_start_later_keep_to_it_and_are_not_called_idle(
    start_worker: StartWorker, clean_broker: Connection, journal: str, pool: str
) -> None:
    task = probe.report.delay(journal)
    pauses.pause(QUEUE, by="ann", reason="later")

    start_worker(QUEUE, f"--pool={pool}")

    until(lambda: not pauses.unconfirmed(QUEUE), what="everybody's confirmation")
    beaten = Row.objects.filter(role="worker", beat_at__gt=F("started_at") + timedelta(seconds=1))
    until(beaten.exclude(consuming=False).exists, what="a beat that shows all is well")
    assert (consumers(clean_broker), ready(clean_broker), state_of(task), probe.runs(journal)) == (0, 0, "PENDING", 0)
    pauses.resume(QUEUE, by="ann")
    assert finished(task).status == "SUCCESS"


def test_what_waits_in_rabbitmq_is_not_started_by_whoever_starts_or_reconnects(
    start_worker: StartWorker, clean_broker: Connection, journal: str, start_relay: StartRelay
) -> None:
    start_relay()
    task = probe.report.delay(journal)
    until(lambda: ready(clean_broker) == 1, what="its publication")
    pause()

    start_worker(QUEUE, relay=False)

    until(Row.objects.filter(role="worker", consuming=True).exists, what="its beat")
    assert (ready(clean_broker), state_of(task)) == (1, "PENDING")
    pauses.resume(QUEUE, by="ann")
    assert finished(task).status == "SUCCESS"


def test_a_worker_of_several_queues_goes_on_with_the_others(
    start_worker: StartWorker, journal: str, start_relay: Callable[..., Process]
) -> None:
    start_worker(QUEUE, "--queues=reporting,notifications")
    pause()

    held, other = probe.report.delay(journal), probe.notify.delay(journal)

    assert finished(other).status == "SUCCESS"
    assert state_of(held) == "PENDING"
    assert json.loads(Row.objects.get(role="worker").paused) == [QUEUE]


def test_a_claim_that_the_database_answers_after_the_pause_begins_no_body(
    start_worker: StartWorker, journal: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    calls = {"TASKYARD_FAULT_CALL": "tests.probe.stand_still", "PROBE_GATE": str(gate)}
    start_worker(QUEUE, fault="claim.answered", **calls)
    task = probe.start_once.delay(journal)
    until(gate.with_suffix(".reached").exists, what="the claim's answer")

    pause()
    gate.unlink()

    waiting = Message.objects.filter(pk=task.id, owner=None, epoch=2, runs=0, state="PENDING")
    until(waiting.exists, what="its return to the ledger")
    assert probe.runs(journal) == 0
    pauses.resume(QUEUE, by="ann")
    finished(task)
    assert probe.runs(journal) == 1
    assert audit.audit().balances


@pytest.mark.parametrize("window", ["main.settling", "main.settled"])
def test_a_worker_that_dies_over_handing_back_leaves_all_to_be_run_once(
    start_worker: StartWorker, clean_broker: Connection, journal: str, tmp_path: Path, window: str
) -> None:
    flag, release = tmp_path / "died", tmp_path / "release"
    first = start_worker(QUEUE, "--prefetch-multiplier=5", fault=window, TASKYARD_FAULT_FLAG=str(flag))
    running = probe.wait_for_file.delay(f"{journal}.running", str(release))
    until(lambda: state_of(running) == "STARTED", what="its start")
    held = [probe.report.delay(journal) for _ in range(3)]
    until(lambda: {one.id for one in held} <= prefetched(clean_broker), what="three prefetched messages")

    pauses.pause(QUEUE, by="ann", reason="x")
    until(lambda: first.is_dead, what="the worker's death")
    release.touch()
    start_worker(QUEUE)
    until(lambda: not pauses.unconfirmed(QUEUE), what="everybody's confirmation, or their being declared dead")
    assert probe.runs(journal) == 0

    pauses.resume(QUEUE, by="ann")
    assert [finished(one).status for one in [running, *held]] == ["SUCCESS"] * 4
    assert probe.runs(journal) == 3
    assert audit.audit().balances


def test_who_stands_still_is_waited_for_and_starts_nothing_when_it_comes_to(
    start_worker: StartWorker, journal: str, tmp_path: Path
) -> None:
    worker, release = start_worker(QUEUE, "--prefetch-multiplier=5"), tmp_path / "release"
    running = probe.wait_for_file.delay(f"{journal}.running", str(release))
    until(lambda: state_of(running) == "STARTED", what="its start")
    held = probe.report.delay(journal)
    until(lambda: not Outbox.objects.exists(), what="its publication")

    with worker.frozen():
        pauses.pause(QUEUE, by="ann", reason="x")
        until(lambda: len(pauses.unconfirmed(QUEUE)) == 1, what="the relay's confirmation")
        assert pauses.unconfirmed(QUEUE)[0].name.startswith("reporting@")
        release.touch()

    until(lambda: not pauses.unconfirmed(QUEUE), what="its confirmation")
    assert finished(running).status == "SUCCESS"
    started = probe.runs(journal)
    # It may have taken it up in the moment before it looked; from the confirmation on it does not.
    assert started == (0 if Message.objects.filter(pk=held.id, owner=None).exists() else 1)
    pauses.resume(QUEUE, by="ann")
    assert finished(held).result == "1"


def test_a_relay_that_stands_still_over_a_batch_is_waited_for(start_relay: StartRelay, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    calls = {"TASKYARD_FAULT_CALL": "tests.probe.stand_still", "PROBE_GATE": str(gate)}
    start_relay(TASKYARD_FAULT="relay.taken", **calls)
    probe.report.delay("journal")
    until(gate.with_suffix(".reached").exists, what="the batch")

    pauses.pause(QUEUE, by="ann", reason="x")
    other = probe.notify.apply_async(("journal",), queue="notifications")
    beats = Row.objects.filter(role="relay", beat_at__gt=Row.objects.get(role="relay").beat_at)
    until(beats.exists, what="the relay's next beat")
    assert [one.name for one in pauses.unconfirmed(QUEUE)] == [Row.objects.get(role="relay").name]

    gate.unlink()
    until(lambda: not pauses.unconfirmed(QUEUE), what="its confirmation")
    until(lambda: not Outbox.objects.filter(message_id=other.id).exists(), what="the other queue's publication")


def test_a_worker_that_connects_again_leaves_the_queue_alone(
    start_worker: StartWorker, clean_broker: Connection, broker_node: Node | None, journal: str
) -> None:
    if broker_node is None:
        pytest.skip("BROKER_URL names a broker that this test must not stop")
    worker = start_worker(QUEUE, "--queues=reporting,notifications")
    pause()
    broker_node.control("stop_app")
    broker_node.control("start_app")

    held, other = probe.report.delay(journal), probe.notify.delay(journal)

    assert finished(other).status == "SUCCESS"
    assert (consumers(clean_broker), state_of(held), worker.is_dead) == (0, "PENDING", False)
    pauses.resume(QUEUE, by="ann")
    assert finished(held).status == "SUCCESS"


def test_while_the_database_is_away_a_pause_holds_on(
    start_worker: StartWorker, clean_broker: Connection, database_server: Postgresql | None, journal: str
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    worker = start_worker(QUEUE)
    pause()
    until(lambda: consumers(clean_broker) == 0, what="the end of consuming")
    database_server.stop()
    connection.close()
    until(lambda: worker.says("Cannot tell the database that this worker lives"), what="the worker to notice")
    headers = {"id": "foreign", "task": "reporting.probe"}
    door: dict[str, Any] = {"exchange": topology.TASKS, "routing_key": QUEUE, "serializer": "json"}
    clean_broker.Producer().publish([[journal], {}, {}], headers=headers, **door)

    until(lambda: ready(clean_broker) == 1, what="the message")
    assert (consumers(clean_broker), probe.runs(journal)) == (0, 0)
    database_server.start()
    seen = Row.objects.get(role="worker").beat_at
    until(Row.objects.filter(role="worker", beat_at__gt=seen).exists, what="its next beat")
    assert (consumers(clean_broker), ready(clean_broker), probe.runs(journal)) == (0, 1, 0)

    pauses.resume(QUEUE, by="ann")
    until(lambda: probe.runs(journal) == 1, what="its run")
