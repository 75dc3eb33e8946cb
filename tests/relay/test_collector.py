"""What RabbitMQ gives up is taken into the ledger: settled, given out again or kept, exactly, and once."""

import calendar
import json
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import amqp
import pytest
from django_celery_results.models import TaskResult
from kombu import Connection, Exchange

from routing.broker import given_up, topology
from routing.broker.collector import Collector
from routing.ledger import audit, typed
from routing.ledger.dead_messages import Fate
from routing.ledger.tables import DeadLetter, Message, Outbox, Tally
from tests import probe as typed_probe
from tests.relay.ledger import dead_process, living_process, ready, waiting
from tests.stored_results import store
from tests.waiting import until
from tests.workers import StartRelay, StartWorker

probe: Any = typed_probe

pytestmark = [pytest.mark.broker, pytest.mark.django_db(transaction=True)]

DEAD = Exchange("taskyard.dead", type="direct", durable=True)
Publish = Callable[..., None]


@pytest.fixture
def collector(clean_broker: Connection) -> Iterator[Collector]:
    made = Collector(stop=threading.Event())
    yield made
    made.close()


@pytest.fixture
def publish(clean_broker: Connection) -> Publish:
    """Straight to RabbitMQ, as another program does; by default into the dead-letter queue of reporting."""

    def send(body: Any = b"[[], {}, {}]", *, to: Exchange = DEAD, key: str = "reporting", **options: Any) -> None:
        known = {"content_type": "application/json", "content_encoding": "utf-8"} | options
        clean_broker.Producer().publish(body, exchange=to, routing_key=key, **known)

    return send


@pytest.fixture
def collect(collector: Collector, clean_broker: Connection) -> Callable[..., Counter[Fate]]:
    """Wait until so many messages lie there, and take them."""

    def take(count: int = 1, queue: str = "reporting.dead") -> Counter[Fate]:
        until(lambda: ready(clean_broker, queue) >= count, what=f"{count} messages in {queue}")
        fates = collector.run_once()
        assert ready(clean_broker, queue) == 0
        return fates

    return take


Collect = Callable[..., Counter[Fate]]


def copy_of(message: Message, publish: Publish, **headers: Any) -> None:
    """A copy of a message of the ledger's comes into its domain's dead-letter queue."""
    known = {**json.loads(message.headers), "taskyard_epoch": message.epoch}
    publish(message.body.encode(), key=message.domain, headers=known | headers)


def letter() -> DeadLetter:
    return DeadLetter.objects.get()


# --- What is kept ---------------------------------------------------------------------------------------------------


def test_bytes_headers_and_properties_are_kept_as_they_came(publish: Publish, collect: Collect) -> None:
    body = bytes(range(256))
    headers = {
        "when": datetime(2026, 11, 26, 20, 0, 1),  # noqa: DTZ001  (as py-amqp has it)
        "price": Decimal("1.5"),
        "raw": b"\xff\x00",
        "nested": {"list": [1, 2.5, True, None, {"deep": b"\x80"}], "big": 2**40},
        "$timestamp": "a name that means something to us",
        "text": "größer\0",
    }
    publish(body, headers=headers, content_type="application/x-python-serialize", content_encoding="binary", priority=3)

    assert collect() == {Fate.KEPT: 1}

    kept = letter()
    assert kept.content == body
    assert typed.loads(kept.headers) == headers
    properties = typed.loads(kept.properties)
    assert (properties["content_type"], properties["priority"]) == ("application/x-python-serialize", 3)
    assert (kept.reason, kept.domain, kept.source, kept.state) == ("refused", "reporting", "reporting.dead", "open")
    assert "application/x-python-serialize" in str(kept.error)


@pytest.mark.parametrize(
    ("body", "options", "reason"),
    [
        (b"\xff{not json", {"headers": {"id": "a", "task": "reporting.probe"}}, "undecodable"),
        (b'{"id": "a", "task": "old"}', {"headers": {}}, "undecodable"),
        (b"", {"headers": {}}, "undecodable"),
        (b"[[], {}, {}]", {"headers": {"id": "a", "task": "billing.charge"}}, "unknown"),
        (b"[[], {}, {}]", {"headers": {"id": "a", "task": "reporting.probe"}}, "rejected"),
        (b"[[], {}, {}]", {"headers": {"id": "a\0", "task": "x" * 300}}, "undecodable"),
        (b"text", {"content_type": "text/plain", "headers": {}}, "refused"),
        (b"[" * 100_000, {"headers": {"id": "a", "task": "t"}}, "undecodable"),
        (b"[]", {"content_encoding": "klingon", "headers": {"id": "a", "task": "t"}}, "unknown"),
    ],
)
def test_why_a_worker_rejected_it_is_found_out_from_the_message(
    publish: Publish, collect: Collect, body: bytes, options: dict[str, Any], reason: str
) -> None:
    publish(body, **options)

    assert collect() == {Fate.KEPT: 1}

    assert (letter().reason, letter().content) == (reason, body)
    assert letter().fingerprint


def test_what_no_queue_takes_is_kept_with_the_key_it_was_sent_by(publish: Publish, collect: Collect) -> None:
    publish(to=topology.TASKS, key="reportign", headers={"id": "a", "task": "reporting.probe"})

    assert collect(queue="taskyard.unrouted") == {Fate.KEPT: 1}

    assert (letter().reason, letter().queue, letter().domain) == ("misrouted", "reportign", "reporting")


def test_what_expires_in_rabbitmq_is_kept_with_its_history(publish: Publish, collect: Collect) -> None:
    publish(to=topology.TASKS, headers={"id": "a", "task": "reporting.probe"}, expiration=0.01)

    assert collect() == {Fate.KEPT: 1}

    died, collected = json.loads(letter().history)
    assert (letter().reason, letter().queue) == ("expired", "reporting")
    assert (died["event"], died["queue"], died["reason"], died["count"]) == ("dead-lettered", "reporting", "expired", 1)
    assert died["at"].endswith("+00:00")
    assert (collected["event"], collected["from"]) == ("collected", "reporting.dead")


def test_a_message_of_the_ledgers_that_ledger_and_results_have_lost_is_kept(publish: Publish, collect: Collect) -> None:
    """As after the database was restored from an older backup."""
    (message,) = waiting(publish=False)
    Message.objects.all().delete()
    copy_of(message, publish)
    copy_of(message, publish)

    assert collect(2) == {Fate.KEPT: 1, Fate.KNOWN: 1}

    assert (letter().reason, letter().task_id, letter().content) == ("lost", message.pk, message.body.encode())


def test_what_cannot_even_be_looked_at_is_kept_as_bytes(
    publish: Publish, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug of ours\0")

    monkeypatch.setattr(given_up, "read", fail)
    publish(b"\0\xff")

    assert collect() == {Fate.KEPT: 1}
    assert (letter().content, letter().domain) == (b"\0\xff", "reporting")
    assert "a bug of ours" in str(letter().error)


def test_what_our_client_cannot_read_holds_up_no_other_queue(
    start_relay: StartRelay, clean_broker: Connection, publish: Publish
) -> None:
    with clean_broker.channel() as channel:
        channel.basic_publish(MuchLater(), exchange="taskyard.dead", routing_key="notifications")  # type: ignore[attr-defined]
    publish(b"legible", headers={})

    relay = start_relay()

    relay.until_it_says("notifications.dead cannot be read")
    until(DeadLetter.objects.exists, what="the other one")
    assert (letter().content, letter().source) == (b"legible", "reporting.dead")


class MuchLater(amqp.Message):
    """With a time in its headers that is no date of Python's: milliseconds where seconds belong."""

    def __init__(self) -> None:
        self._at = datetime(2026, 11, 26)  # noqa: DTZ001  (as py-amqp has it)
        super().__init__("late", application_headers={"at": self._at})

    def _serialize_properties(self) -> bytes:
        seconds = calendar.timegm(self._at.timetuple())
        written: bytes = super()._serialize_properties()  # type: ignore[misc]
        return written.replace(struct.pack(">Q", seconds), struct.pack(">Q", seconds * 1000))


# --- What is a task's ------------------------------------------------------------------------------------------------


def test_a_task_in_flight_that_rabbitmq_gave_up_is_published_again(publish: Publish, collect: Collect) -> None:
    (message,) = waiting(publish=False)
    copy_of(message, publish)

    assert collect() == {Fate.AGAIN: 1}

    again = Message.objects.get()
    assert (again.epoch, again.owner, again.runs) == (2, None, 0)
    assert (Outbox.objects.get().epoch, again.due_at > message.due_at) == (2, True)
    assert "RabbitMQ gave it up" in str(again.error)
    assert not DeadLetter.objects.exists()


def test_an_older_copys_dead_letter_does_not_touch_a_newer_decision(publish: Publish, collect: Collect) -> None:
    (message,) = waiting(publish=False, epoch=3)
    copy_of(message, publish, taskyard_epoch=2)

    assert collect() == {Fate.MOVED_ON: 1}
    assert (Message.objects.get().epoch, Outbox.objects.count(), DeadLetter.objects.count()) == (3, 0, 0)


@pytest.mark.parametrize("owner", [living_process, dead_process])
def test_a_task_that_a_worker_owns_stays_as_it_is(publish: Publish, collect: Collect, owner: Any) -> None:
    """Of a dead one, the relays give it out again by themselves."""
    (message,) = waiting(publish=False, owner=owner().pk, state="STARTED", runs=1)
    copy_of(message, publish)

    assert collect() == {Fate.MOVED_ON: 1}
    assert (Message.objects.get().epoch, Outbox.objects.count(), DeadLetter.objects.count()) == (1, 0, 0)


@pytest.mark.parametrize(
    ("values", "reason"), [({"runs": 5}, "poison"), ({"runs": 1, "at_most_once": True}, "crashed")]
)
def test_a_task_that_may_not_start_again_has_failed(
    publish: Publish, collect: Collect, values: dict[str, Any], reason: str
) -> None:
    (message,) = waiting(publish=False, **values)
    Tally.objects.create(domain="reporting", accepted=1)
    copy_of(message, publish)
    copy_of(message, publish)

    assert collect(2) == {Fate.GIVEN_UP: 1, Fate.MOVED_ON: 1}

    assert (letter().reason, letter().task_id, letter().source) == (reason, message.pk, "")
    assert TaskResult.objects.get().status == "FAILURE"
    assert not Message.objects.exists()
    assert audit.audit().balances


def test_a_copy_of_what_has_finished_is_of_no_use(publish: Publish, collect: Collect) -> None:
    done = store("reporting.probe", done_at=datetime.now().astimezone(), domain="reporting")
    publish(headers={"id": done.task_id, "task": "reporting.probe", "taskyard_epoch": 1})
    publish(headers={"id": done.task_id, "task": "reporting.probe"})

    assert collect(2) == {Fate.MOVED_ON: 2}
    assert not DeadLetter.objects.exists()


def test_another_programs_message_is_given_out_again_as_the_claim_adopted_it(
    publish: Publish, collect: Collect
) -> None:
    (message,) = waiting(publish=False, epoch=0)
    publish(headers={"id": message.pk, "task": message.task})

    assert collect() == {Fate.AGAIN: 1}
    assert (Message.objects.get().epoch, Outbox.objects.get().epoch) == (1, 1)


# --- Once ------------------------------------------------------------------------------------------------------------


def test_a_message_that_comes_twice_is_one_dead_letter(publish: Publish, collect: Collect) -> None:
    for _ in range(2):
        publish(headers={"id": "twice", "task": "billing.charge"})

    assert collect(2) == {Fate.KEPT: 1, Fate.KNOWN: 1}
    assert letter().task_id == "twice"


def test_two_messages_without_an_id_are_two_though_they_are_alike(publish: Publish, collect: Collect) -> None:
    for _ in range(2):
        publish(b"alike", headers={})

    assert collect(2) == {Fate.KEPT: 2}
    assert [one.content for one in DeadLetter.objects.all()] == [b"alike", b"alike"]


@pytest.mark.parametrize("more", [{}, {"try": 2}])
def test_what_was_decided_about_and_comes_again_is_a_new_dead_letter(
    publish: Publish, collect: Collect, more: dict[str, Any]
) -> None:
    publish(headers={"id": "again", "task": "billing.charge"})
    collect()
    DeadLetter.objects.update(state="discarded")
    publish(headers={"id": "again", "task": "billing.charge"} | more)

    assert collect() == {Fate.KEPT: 1}
    assert DeadLetter.objects.filter(task_id="again", state="open").count() == 1


@pytest.mark.parametrize("point", ["dead.kept", "dead.committed", "dead.unacked"])
def test_a_relay_that_dies_over_it_leaves_one_dead_letter(
    start_relay: StartRelay, clean_broker: Connection, publish: Publish, point: str
) -> None:
    publish(b"\xff", headers={"id": str(uuid4()), "task": "reporting.probe"})
    until(lambda: ready(clean_broker, "reporting.dead") == 1, what="the message")
    first = start_relay(fault=point, wait=False)
    until(lambda: first.is_dead, what="the relay's death")
    assert DeadLetter.objects.count() == (0 if point == "dead.kept" else 1)
    until(lambda: ready(clean_broker, "reporting.dead") == 1, what="its return")

    second = start_relay()

    until(lambda: ready(clean_broker, "reporting.dead") == 0, what="its collection")
    second.until_it_says("kept")
    assert second.stop() == 0
    assert DeadLetter.objects.count() == 1


@pytest.mark.parametrize("point", ["dead.committed", "dead.unacked"])
def test_a_relay_that_dies_over_it_leaves_one_re_drive(
    start_relay: StartRelay, clean_broker: Connection, publish: Publish, point: str
) -> None:
    (message,) = waiting(publish=False)
    copy_of(message, publish)
    first = start_relay(fault=point, wait=False)
    until(lambda: first.is_dead, what="the relay's death")
    until(lambda: ready(clean_broker, "reporting.dead") == 1, what="its return")

    second = start_relay()

    second.until_it_says("of no use any more")
    assert second.stop() == 0
    assert Message.objects.get().epoch == 2
    assert ready(clean_broker, "reporting.dead") == 0


# --- With workers ----------------------------------------------------------------------------------------------------


def test_a_task_that_was_given_back_too_often_runs_all_the_same(
    start_worker: StartWorker, clean_broker: Connection, publish: Publish, tmp_path: Any
) -> None:
    """As when each claim met no database."""
    journal = tmp_path / "journal"
    result = probe.report.delay(str(journal))
    message = Message.objects.get(pk=result.id)
    Outbox.objects.all().delete()
    known = {**json.loads(message.headers), "taskyard_epoch": 1}
    publish(message.body.encode(), to=topology.TASKS, headers=known)
    _give_back(clean_broker, "reporting", times=topology.DELIVERY_LIMIT + 1)
    until(lambda: ready(clean_broker, "reporting.dead") == 1, what="RabbitMQ to give it up")

    start_worker("reporting")

    done = TaskResult.objects.filter(task_id=result.id, status="SUCCESS")
    until(done.exists, what="its outcome", seconds=60)
    assert journal.read_text() == "reporting.probe\n"
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize(
    ("body", "options", "reason"),
    [
        (b"\xff{not json", {"headers": {"id": "unreadable", "task": "reporting.probe"}}, "undecodable"),
        (b"[[], {}, {}]", {"headers": {"id": "stranger", "task": "billing.charge"}}, "unknown"),
        (b"\x80\x04K\x01.", {"content_type": "application/x-python-serialize", "headers": {"id": "p"}}, "refused"),
        (b"hello", {"headers": {}, "content_type": "text/plain"}, "refused"),
    ],
)
def test_what_a_worker_rejects_is_kept(
    start_worker: StartWorker,
    clean_broker: Connection,
    publish: Publish,
    body: bytes,
    options: dict[str, Any],
    reason: str,
) -> None:
    start_worker("reporting")
    publish(body, to=topology.TASKS, **options)

    until(DeadLetter.objects.exists, what="the dead letter")

    assert (letter().reason, letter().content, letter().queue) == (reason, body, "reporting")
    died, _collected = json.loads(letter().history)
    assert died["reason"] == "rejected"
    until(lambda: ready(clean_broker, "reporting.dead") == 0, what="the ack")


def _give_back(connection: Connection, queue: str, *, times: int) -> None:
    with connection.channel() as channel:
        for _ in range(times):
            message = until(lambda: channel.basic_get(queue), what="the message")  # type: ignore[attr-defined]
            channel.basic_reject(message.delivery_tag, requeue=True)  # type: ignore[attr-defined]
