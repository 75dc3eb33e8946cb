"""``manage.py topology plan|apply|drift`` on a real broker: whatever changes, nothing is lost on the way."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import amqp
import pytest
from django.core.management import CommandError, call_command
from kombu import Connection

from project import domains as project_domains
from routing import domains
from routing.broker import comparison, evidence, topology
from routing.broker.sending import EPOCH_HEADER
from routing.domains import Domain, Lane, registry
from routing.ledger import queues
from routing.ledger.audit import audit
from routing.ledger.tables import BrokerMarker, DeclaredQueue, Message, Outbox
from tests.relay.ledger import dead_process, living_process, publication, ready, waiting
from tests.waiting import until
from tests.workers import ROOT, Process, StartWorker, environment

pytestmark = [pytest.mark.broker, pytest.mark.django_db(transaction=True)]

QUORUM = {"x-queue-type": "quorum"}
GONE = "reporting.bulk"
"""A lane that no code has any more."""


@pytest.fixture
def broker(clean_broker: Connection) -> Iterator[Connection]:
    """A broker that is as the code has it, and is again when the test ends."""
    # One marker for all tests, rather than another queue with each of them.
    BrokerMarker.objects.get_or_create(pk=1, defaults={"marker": "tests"})
    call_command("topology", "apply", stdout=StringIO())
    yield clean_broker
    domains.registry.cache_clear()
    with clean_broker.channel() as channel:
        for name in [*_changed(clean_broker), *_left()]:
            channel.queue_delete(name)  # type: ignore[attr-defined]
    evidence.examine(clean_broker, registry())


def _changed(connection: Connection) -> list[str]:
    there = [q for q in topology.queues(registry()) if topology.message_count(connection, q.name) is not None]
    return [queue.name for queue in there if comparison.difference(connection, queue)]


def _left() -> list[str]:
    return [GONE, "billing", "billing.dead", *(f"{name}.moving" for name in [*registry().pools, GONE])]


@pytest.fixture
def declare(broker: Connection) -> Iterator[Callable[..., None]]:
    """Have the code declare these domains."""
    with pytest.MonkeyPatch.context() as patch:

        def declare(*declared: Domain) -> None:
            patch.setattr(project_domains, "DOMAINS", declared)
            domains.registry.cache_clear()

        yield declare
    domains.registry.cache_clear()


def told(*words: str) -> str:
    output = StringIO()
    call_command("topology", *words, stdout=output)
    return " ".join(output.getvalue().split())


def drifted() -> bool:
    try:
        told("drift")
    except SystemExit as end:
        return end.code == 1
    return False


def put(connection: Connection, queue: str, body: bytes, **properties: Any) -> None:
    with connection.channel() as channel:
        message = amqp.Message(body, delivery_mode=2, **properties)
        channel.basic_publish_confirm(message, exchange="", routing_key=queue)  # type: ignore[attr-defined]


def published(connection: Connection, queue: str, count: int = 1, **values: Any) -> list[Message]:
    """In flight, and on the broker."""
    messages = waiting(queue, count, publish=False, **values)
    for message in messages:
        put(connection, queue, b"{}", application_headers={"id": message.pk, EPOCH_HEADER: message.epoch})
    return messages


def bodies(connection: Connection, queue: str) -> list[bytes]:
    with connection.channel() as channel:
        found = iter(lambda: channel.basic_get(queue, no_ack=True), None)  # type: ignore[attr-defined]
        return [bytes(message.body) for message in found]


def make(connection: Connection, queue: str, exchange: str = "taskyard", **arguments: Any) -> None:
    with connection.channel() as channel:
        channel.queue_delete(queue)  # type: ignore[attr-defined]
        channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)  # type: ignore[attr-defined]
        channel.queue_bind(queue, exchange, queue)  # type: ignore[attr-defined]


# --- Figures and types ------------------------------------------------------------------------------------------------


def test_there_is_nothing_to_do_where_all_is_as_the_code_has_it(broker: Connection) -> None:
    assert "as the code has it" in told("plan")
    assert not drifted()
    assert json.loads(told("plan", "--json")) == {"drifted": False, "steps": [], "not_comparable": []}


def test_a_queue_with_another_limit_is_made_anew_and_nothing_in_it_is_lost(broker: Connection, settings: Any) -> None:
    messages = published(broker, "reporting", 30)
    owned = waiting("reporting", publish=False, owner=living_process().pk, state="STARTED")
    put(broker, "reporting", b"\x00\xfffrom elsewhere", content_type="application/x-odd", priority=3)
    put(broker, "reporting", b"restored", application_headers={"id": "no row of ours", EPOCH_HEADER: 7})
    settings.TASKYARD_DELIVERY_LIMIT = 60

    assert "its x-delivery-limit is 50 there and 60 in the code" in told("plan")
    assert drifted()
    told("apply")

    assert not drifted()
    assert bodies(broker, "reporting") == [b"\x00\xfffrom elsewhere", b"restored"]
    again = {(row.message_id, row.epoch) for row in Outbox.objects.all()}
    assert again == {(message.pk, 2) for message in messages}
    assert Message.objects.get(pk=owned[0].pk).epoch == 1
    assert topology.depth(broker, "reporting.moving") is None


def test_properties_and_headers_of_what_is_moved_stay(broker: Connection, settings: Any) -> None:
    headers = {"id": "foreign", "task": "reporting.probe", "nested": {"list": [1, None, "ö"]}}
    put(broker, "reporting", b"[]", application_headers=headers, correlation_id="c", content_encoding="utf-8")
    settings.TASKYARD_DELIVERY_LIMIT = 60

    told("apply")

    message = broker.default_channel.basic_get("reporting", no_ack=True)  # type: ignore[attr-defined]
    assert message.properties["application_headers"].items() >= headers.items()
    assert (message.properties["correlation_id"], message.properties["delivery_mode"]) == ("c", 2)


def test_a_classic_queue_becomes_a_quorum_queue(broker: Connection) -> None:
    make(broker, "reporting")
    (message,) = published(broker, "reporting")
    put(broker, "reporting", b"foreign")

    assert "make anew queue reporting: its x-dead-letter-exchange is none there" in told("plan")
    told("apply")

    assert not drifted()
    assert bodies(broker, "reporting") == [b"foreign"]
    assert Outbox.objects.get().message_id == message.pk
    broker.Producer().publish("routed", exchange=topology.TASKS, routing_key="reporting")
    until(lambda: ready(broker, "reporting") == 1, what="a message over the exchange")


def test_a_dead_letter_queue_keeps_every_message(broker: Connection) -> None:
    make(broker, "reporting.dead", "taskyard.dead", **{"x-queue-type": "quorum", "x-delivery-limit": 9})
    waiting("reporting", publish=False, id="ours")
    put(broker, "reporting.dead", b"unreadable", application_headers={"id": "ours", EPOCH_HEADER: 1})

    told("apply")

    assert not drifted()
    assert bodies(broker, "reporting.dead") == [b"unreadable"]
    assert Message.objects.get().epoch == 1


def test_an_exchange_of_another_kind_is_made_anew_with_all_its_bindings(broker: Connection) -> None:
    with broker.channel() as channel:
        channel.exchange_delete("taskyard")  # type: ignore[attr-defined]
        channel.exchange_declare("taskyard", "topic", durable=True, auto_delete=False)  # type: ignore[attr-defined]

    assert "its alternate-exchange is none there and taskyard.unrouted in the code" in told("plan")
    told("apply")

    assert not drifted()
    broker.Producer().publish("routed", exchange=topology.TASKS, routing_key="notifications.urgent")
    broker.Producer().publish("astray", exchange=topology.TASKS, routing_key="nowhere")
    until(lambda: ready(broker, "notifications.urgent") and ready(broker, "taskyard.unrouted"), what="both")


def test_what_is_missing_is_declared_and_its_tasks_are_published_again(broker: Connection) -> None:
    (message,) = published(broker, "reporting")
    broker.default_channel.queue_delete("reporting")  # type: ignore[attr-defined]

    assert "1 task in flight" in told("plan")
    told("apply")

    assert not drifted()
    assert Outbox.objects.get().message_id == message.pk


# --- What has left the code -------------------------------------------------------------------------------------------


def in_flight_in_a_lane_that_left(connection: Connection, count: int = 10) -> None:
    make(connection, GONE, **QUORUM)
    queues.remember([GONE])
    published(connection, GONE, count)
    waiting(GONE, count)
    waiting(GONE, 1, owner=living_process().pk, state="STARTED", publish=False)
    waiting(GONE, 1, owner=dead_process().pk, state="STARTED", publish=False)
    waiting(GONE, 1, state="REPLACED", publish=False)


def test_the_tasks_of_a_lane_that_left_move_to_its_domain(broker: Connection) -> None:
    in_flight_in_a_lane_that_left(broker)
    put(broker, GONE, b"foreign")
    published_ids = set(Message.objects.filter(owner=None, state="PENDING").values_list("pk", flat=True))

    plan = told("plan")
    assert "remove queue reporting.bulk: no domain declares it 23 tasks in flight, which move to reporting" in plan
    told("apply")

    assert not drifted()
    assert not DeclaredQueue.objects.filter(name=GONE).exists()
    assert topology.depth(broker, GONE) is None
    assert set(Message.objects.values_list("queue", flat=True)) == {"reporting"}
    current = {(message.pk, message.epoch, "reporting") for message in Message.objects.filter(pk__in=published_ids)}
    assert set(Outbox.objects.values_list("message_id", "epoch", "queue")) == current
    assert bodies(broker, "reporting") == [b"foreign"]


@pytest.mark.one_database
def test_ten_thousand_tasks_move_at_once(broker: Connection) -> None:
    make(broker, GONE, **QUORUM)
    queues.remember([GONE])
    waiting(GONE, 5_000, publish=False)
    waiting(GONE, 5_000)

    told("apply")

    assert (
        Outbox.objects.filter(queue="reporting").count() == Message.objects.filter(queue="reporting").count() == 10_000
    )


def test_tasks_that_nobody_claims_are_refused_with_the_cure(broker: Connection, declare: Callable[..., None]) -> None:
    declare(Domain(name="notifications"), Domain(name="reporting"), Domain(name="maintenance"), Domain(name="billing"))
    told("apply")
    waiting("billing", task="billing.charge")
    declare(Domain(name="notifications"), Domain(name="reporting"), Domain(name="maintenance"))

    assert "no domain claims billing.charge; name a queue with --move-to QUEUE" in told("plan")
    with pytest.raises(CommandError, match="needs a hand"):
        told("apply")
    assert Message.objects.get().queue == "billing"
    with pytest.raises(CommandError, match="no domain declares that"):
        told("apply", "--move-to", "billing")

    told("apply", "--move-to", "reporting")

    assert Message.objects.get().queue == Outbox.objects.get().queue == "reporting"
    assert topology.depth(broker, "billing") is topology.depth(broker, "billing.dead") is None


def test_tasks_of_a_domain_that_left_go_where_they_are_claimed_now(
    broker: Connection, declare: Callable[..., None]
) -> None:
    waiting("billing", task="billing.charge")
    declare(Domain(name="reporting"), Domain(name="maintenance", tasks=("maintenance.*", "billing.*")))

    told("apply")

    assert Message.objects.get().queue == "maintenance"


def test_dead_letters_are_not_deleted_with_their_domain(broker: Connection) -> None:
    make(broker, "billing.dead", "taskyard.dead", **QUORUM)
    queues.remember(["billing.dead"])
    put(broker, "billing.dead", b"kept")

    with pytest.raises(CommandError, match="needs a hand"):
        told("apply")

    assert bodies(broker, "billing.dead") == [b"kept"]
    told("apply")
    assert topology.depth(broker, "billing.dead") is None


def test_what_a_relay_has_in_hand_moves_too(broker: Connection) -> None:
    """It was published to the lane that is gone, and comes back to the relay meanwhile."""
    from routing.ledger import outbox

    (message,) = waiting(GONE)
    with outbox.batch(GONE, limit=9, max_bytes=10_000) as batch:
        batch.refuse({batch.publications[0].id: "RabbitMQ has no such queue"})

    told("apply")

    assert Outbox.objects.get(message_id=message.pk).queue == "reporting"


def test_publications_of_tasks_that_are_over_do_not_hinder(broker: Connection) -> None:
    (message,) = waiting(GONE)
    publication(message, epoch=9, message_id="over").save()

    told("apply")

    assert Message.objects.get().queue == "reporting"


# --- Crashes ----------------------------------------------------------------------------------------------------------


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "topology", *words],
        cwd=ROOT,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


ANEW = ("held", "bound_aside", "copied", "emptied", "deleted", "declared", "emptied:2", "deleted:2")
REMOVED = ("held", "copied", "emptied", "deleted", "moved")


@pytest.mark.parametrize("window", ANEW)
def test_an_apply_killed_while_it_makes_a_queue_anew_is_taken_up_again(
    broker: Connection, monkeypatch: pytest.MonkeyPatch, window: str
) -> None:
    make(broker, "reporting")
    messages = published(broker, "reporting", 3)
    put(broker, "reporting", b"foreign")

    died = command("apply", TASKYARD_FAULT=f"topology.{window}")
    assert died.returncode == -9, died.stderr
    # Relays and workers go on meanwhile.
    monkeypatch.setattr(queues, "HELD_FOR", 0)
    evidence.examine(broker, registry())
    told("apply")

    assert not drifted()
    assert set(bodies(broker, "reporting")) == {b"foreign"}
    for message in Message.objects.filter(pk__in=[one.pk for one in messages]):
        assert Outbox.objects.filter(message_id=message.pk, epoch=message.epoch, queue="reporting").exists()


@pytest.mark.parametrize("window", REMOVED)
def test_an_apply_killed_while_it_removes_a_queue_is_taken_up_again(
    broker: Connection, monkeypatch: pytest.MonkeyPatch, window: str
) -> None:
    in_flight_in_a_lane_that_left(broker, 3)
    put(broker, GONE, b"foreign")

    died = command("apply", TASKYARD_FAULT=f"topology.{window}")
    assert died.returncode == -9, died.stderr
    monkeypatch.setattr(queues, "HELD_FOR", 0)
    evidence.examine(broker, registry())
    told("apply")

    assert not drifted()
    assert set(bodies(broker, "reporting")) == {b"foreign"}
    assert set(Message.objects.values_list("queue", flat=True)) == {"reporting"}
    for message in Message.objects.filter(owner=None, state="PENDING"):
        assert Outbox.objects.filter(message_id=message.pk, epoch=message.epoch, queue="reporting").exists()


def test_two_at_once_take_turns(broker: Connection, tmp_path: Path, settings: Any) -> None:
    published(broker, "reporting", 20)
    put(broker, "reporting", b"foreign")
    settings.TASKYARD_DELIVERY_LIMIT = 60

    both = [
        Process(
            [sys.executable, "manage.py", "topology", "apply"], tmp_path / f"{one}.log", TASKYARD_DELIVERY_LIMIT="60"
        )
        for one in (1, 2)
    ]
    assert [one.popen.wait(120) for one in both] == [0, 0], [one.log.read_text() for one in both]

    assert told("plan") == "RabbitMQ is as the code has it.", [one.log.read_text() for one in both]
    assert bodies(broker, "reporting") == [b"foreign"]
    assert Outbox.objects.count() == 20


# --- Beside workers ---------------------------------------------------------------------------------------------------


@pytest.mark.pipeline
def test_workers_live_through_it_and_nothing_is_run_twice_or_lost(
    broker: Connection, start_worker: StartWorker, tmp_path: Path
) -> None:
    from tests import probe as typed_probe

    probe: Any = typed_probe
    worker = start_worker("reporting")
    release, journal = tmp_path / "release", tmp_path / "journal"
    running = probe.wait_for_file.delay(str(tmp_path / "waiting"), str(release))
    until(lambda: running.state == "STARTED", what="the run")
    held = probe.report.delay(str(journal))
    broker.Producer().publish(
        [[str(journal)], {}, {}],
        exchange=topology.TASKS,
        routing_key="reporting",
        serializer="json",
        headers={"id": "foreign", "task": "reporting.probe", "lang": "py"},
    )

    done = command("apply", TASKYARD_DELIVERY_LIMIT="60")
    assert done.returncode == 0, done.stderr
    assert "Waiting until 1 consumers" in done.stdout
    release.touch()

    until(lambda: not Message.objects.exists(), what="all outcomes")
    assert running.get() == 1
    assert held.state == "SUCCESS"
    assert probe.report.AsyncResult("foreign").state == "SUCCESS"
    assert len(journal.read_text().splitlines()) == 2
    assert not worker.is_dead
    assert not worker.says("PRECONDITION_FAILED")
    assert audit().balances


def test_a_consumer_that_does_not_let_go_is_named_and_nothing_is_changed(
    broker: Connection, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.broker.alteration.LET_GO_WITHIN", 0.3)
    settings.TASKYARD_DELIVERY_LIMIT = 60
    with broker.channel() as channel:
        channel.basic_consume("reporting")  # type: ignore[attr-defined]

        with pytest.raises(CommandError, match="1 of its consumers did not let go"):
            told("apply")

    assert comparison.difference(broker, topology.task_queues(registry())[3])
    assert not queues.held()


def test_a_lane_that_is_new_is_declared(broker: Connection, declare: Callable[..., None]) -> None:
    declare(
        *(domain for domain in project_domains.DOMAINS if domain.name != "reporting"),
        Domain(name="reporting", lanes=(Lane("default"), Lane("bulk"))),
    )

    assert "declare" in told("plan")
    told("apply")

    assert topology.depth(broker, GONE) is not None
    assert not drifted()
