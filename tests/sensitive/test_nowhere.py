"""A secret argument on its whole way through a real worker: database, RabbitMQ, events and logs are searched for it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain
from celery.events.event import get_exchange
from django.core.management import call_command
from django_celery_results.models import TaskResult
from kombu import Connection, Queue

from routing.broker import topology
from routing.broker.names import physical
from routing.ledger.enqueue import OUTCOMES
from routing.ledger.tables import DeadLetter, Message, Outbox
from tests.sensitive import tasks as typed_tasks
from tests.sensitive.evidence import CARD, PIN, assert_is_nowhere
from tests.waiting import until
from tests.workers import StartRelay, StartWorker

tasks: Any = typed_tasks

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]


@pytest.fixture
def events(clean_broker: Connection) -> Iterator[Queue]:
    """All that workers tell Flower from now on."""
    with clean_broker.channel() as channel:
        queue = Queue("", exchange=get_exchange(clean_broker), routing_key="#", exclusive=True)(channel)
        queue.declare()
        yield queue


def all_of(queue: Queue) -> str:
    """Bodies, headers and properties of the messages that lie there; they are gone then."""
    said = []
    while (message := queue.get(no_ack=True)) is not None:
        said.append(f"{message.body!r} {message.headers} {message.properties}")
    return "\n".join(said)


def come_to_an_end(*handles: Any) -> list[TaskResult]:
    ids = {handle if isinstance(handle, str) else handle.id for handle in handles}
    rows = TaskResult.objects.filter(task_id__in=ids, status__in=OUTCOMES)
    until(lambda: rows.count() == len(ids), what=f"the outcomes of {ids}")
    return list(rows)


def test_rabbitmq_holds_no_word_of_it(start_relay: StartRelay, clean_broker: Connection) -> None:
    start_relay()
    tasks.charge.delay("A-17", CARD, pin=PIN)
    tasks.charge.apply_async(("A-18",), {"card": CARD}, link=tasks.note.si("x", CARD))
    until(lambda: not Outbox.objects.exists(), what="both published")

    with clean_broker.channel() as channel:
        said = all_of(Queue(physical("reporting"), no_declare=True)(channel))

    assert said.count("taskyard_sealed") == 4
    assert_is_nowhere(said)


def test_nothing_says_it_from_success_to_replay(
    start_worker: StartWorker, clean_broker: Connection, events: Queue, tmp_path: Path
) -> None:
    path = tmp_path / "noted"
    worker = start_worker("reporting", "--include=tests.sensitive.tasks", "--task-events", LOG_LEVEL="DEBUG")
    declined, paid = tasks.decline.delay(CARD), tasks.charge.delay("A-17", card=CARD, pin=PIN)
    last = chain(tasks.charge.s("A-18", CARD), tasks.note_last.s(str(path), CARD)).delay()
    foreign = {"id": "from-elsewhere", "task": "reporting.charge_note", "argsrepr": f"('{path}', '{CARD}')"}
    clean_broker.Producer().publish(
        json.dumps([[str(path), CARD], {}, None]).encode(),
        exchange=topology.TASKS,
        routing_key="reporting",
        headers=foreign,
        content_type="application/json",
        content_encoding="utf-8",
    )

    come_to_an_end(declined, paid, last, "from-elsewhere")
    call_command("dead_letters", "replay", declined.id, "--yes", verbosity=0)
    replayed = DeadLetter.objects.get(task_id=declined.id).replayed_as
    come_to_an_end(replayed)
    worker.stop()

    assert path.read_text().splitlines() == [repr(CARD)] * 2
    assert DeadLetter.objects.filter(task_id=replayed, reason="failed").exists()
    assert not Message.objects.exists()
    told = all_of(events)
    assert "task-failed" in told
    assert "task-retried" in told
    logs = [log.read_text(errors="replace") for log in tmp_path.glob("*.log")]
    assert any("is declined" in log for log in logs)
    assert_is_nowhere(told, *logs)
