"""What a relay publishes, and how."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from kombu import Connection

from project.services.rabbitmq import Node
from routing import tracing
from routing.broker import relay as relays
from routing.broker.relay import Relay
from routing.ledger import outbox
from routing.ledger.tables import Message, Outbox
from tests.relay.ledger import ago, epochs, publication, ready, taken, waiting
from tests.waiting import until

pytestmark = pytest.mark.broker

MakeRelay = Callable[..., Relay]


def test_what_is_due_is_published_and_stays_in_flight(relay: Relay, clean_broker: Connection) -> None:
    messages = waiting(count=3)

    count, _ = relay.run_once()

    assert count == 3
    assert not Outbox.objects.exists()
    assert epochs(clean_broker, "reporting") == [(message.pk, 1) for message in messages]
    assert Message.objects.count() == 3


def test_spans_are_told_of_a_batch_that_is_given_up(
    relay: Relay, clean_broker: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever became of them, nothing goes back or stays locked for that."""
    told: list[tuple[int, int, bool]] = []

    class Looking:
        def published(self, publications: Any, _refused: Any, *, began_at: int, ended_at: int) -> None:
            assert began_at < ended_at
            told.append((len(publications), Outbox.objects.count(), connection.in_atomic_block))

    waiting(count=2)
    monkeypatch.setattr(tracing, "active", Looking())

    relay.run_once()

    assert told == [(2, 0, False)]


def test_a_message_is_published_as_it_was_enqueued(relay: Relay, clean_broker: Connection) -> None:
    headers = {"task": "reporting.probe", "stamps": {"größe": ["1"]}, "eta": "later", "expires": "soon", "retries": 0}
    (message,) = waiting(headers=json.dumps(headers), epoch=7, attempt=3, properties='{"priority": 4, "type": "t"}')

    relay.run_once()

    (published,) = taken(clean_broker, "reporting")
    own = {"id": message.pk, "taskyard_epoch": 7, "retries": 2, "eta": None, "expires": None}
    assert {name: published.headers[name] for name in headers | own} == headers | own
    assert published.body == message.body
    assert (published.content_type, published.content_encoding) == ("application/json", "utf-8")
    assert {key: published.properties[key] for key in ("delivery_mode", "priority", "type")} == {
        "delivery_mode": 2,
        "priority": 4,
        "type": "t",
    }


def test_a_body_of_any_size_arrives_whole(relay: Relay, clean_broker: Connection) -> None:
    """RabbitMQ takes frames of 128 KB; eight bytes of each are not the body's."""
    frame = 128 * 1024 - 8
    bodies = [f'[["{"x" * (size - 14)}"], {{}}, {{}}]' for size in (100, frame - 1, frame, frame + 1, 3 * frame)]
    for body in bodies:
        waiting(body=body)

    relay.run_once()

    assert [published.body for published in taken(clean_broker, "reporting")] == bodies


def test_what_is_not_due_waits(relay: Relay, clean_broker: Connection) -> None:
    waiting(due_at=ago(hours=-1))

    count, seconds = relay.run_once()

    assert (count, ready(clean_broker, "reporting")) == (0, 0)
    assert 0 < seconds <= 1
    assert Outbox.objects.count() == 1


def test_the_seconds_until_something_is_due_are_told_by_the_millisecond(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "TICK", 600.0)
    waiting(due_at=ago(seconds=-300))
    relay.run_once()

    _, seconds = relay.run_once()

    assert 0 < seconds < 300
    assert seconds != int(seconds)


def test_publications_of_what_is_over_or_has_a_newer_epoch_vanish(relay: Relay, clean_broker: Connection) -> None:
    (cancelled,) = waiting()
    cancelled.delete()
    (newer,) = waiting(epoch=2)
    Outbox.objects.update(epoch=1)
    publication(newer, epoch=2).save()

    relay.run_once()

    assert not Outbox.objects.exists()
    assert epochs(clean_broker, "reporting") == [(newer.pk, 2)]


def test_a_batch_is_bounded_in_bytes_and_holds_one_message_at_least(
    relay_of: MakeRelay, clean_broker: Connection
) -> None:
    waiting(count=3, body=json.dumps([["x" * 1000], {}, {}]))
    (huge,) = waiting("notifications", body=json.dumps([["x" * 5000], {}, {}]))
    relay = relay_of(max_bytes=2500)

    relay.run_once()

    assert ready(clean_broker, "reporting") == 2
    assert epochs(clean_broker, "notifications") == [(huge.pk, 1)]
    relay.run_once()
    assert ready(clean_broker, "reporting") == 3


def test_a_queue_gets_no_more_than_its_window(relay_of: MakeRelay, clean_broker: Connection) -> None:
    waiting(count=30)
    relay = relay_of(window=10, batch=7)

    for _ in range(5):
        relay.run_once()

    assert until(lambda: ready(clean_broker, "reporting")) == 10
    assert Outbox.objects.count() == 20


def test_a_window_that_has_emptied_is_filled_again(relay_of: MakeRelay, clean_broker: Connection) -> None:
    waiting(count=15)
    relay = relay_of(window=10)
    relay.run_once()

    assert len(epochs(clean_broker, "reporting")) == 10

    until(lambda: relay.run_once()[0] == 5, what="the other five")


def test_a_flooded_lane_does_not_hold_up_another(relay: Relay, clean_broker: Connection) -> None:
    waiting("notifications.bulk", 4_000)
    relay.run_once()
    waiting("notifications.urgent")

    relay.run_once()

    assert ready(clean_broker, "notifications.urgent") == 1
    assert Outbox.objects.filter(queue="notifications.bulk").count() >= 4_000 - 2 * 200


def test_each_queue_comes_first_in_its_turn(relay: Relay) -> None:
    firsts = {next(iter(relay._in_turn())) for _ in range(5)}

    assert firsts == {"notifications", "notifications.urgent", "notifications.bulk", "reporting", "maintenance"}


def test_a_queue_that_no_domain_declares_holds_up_nothing_and_its_rows_tell_why(
    relay: Relay, clean_broker: Connection
) -> None:
    waiting("billing", 2)
    waiting("reporting")

    relay.run_once()

    assert ready(clean_broker, "reporting") == 1
    billing = Outbox.objects.filter(queue="billing")
    assert {row.reason for row in billing} == {"RabbitMQ has no queue billing. Declare it: manage.py topology apply"}
    assert all(row.failures == 1 and row.due_at > timezone.now() for row in billing)


def test_a_refused_message_goes_back_with_its_reason_and_a_pause(
    relay: Relay, clean_broker: Connection, broker_node: Node | None
) -> None:
    if broker_node is None:
        pytest.skip("BROKER_URL names a broker that this test must not change")

    def one_is_refused() -> bool:
        # RabbitMQ finds out a little late that the queue is full.
        waiting()
        relay.run_once()
        return Outbox.objects.filter(failures__gt=0).exists()

    broker_node.control("set_policy", "full", "^reporting$", '{"max-length": 1}', "--apply-to", "queues")
    try:
        until(one_is_refused, what="a refusal")
        back = Outbox.objects.get()
        assert back.due_at > timezone.now()
    finally:
        broker_node.control("clear_policy", "full")

    assert back.reason == "RabbitMQ refused it: the queue reporting is full, or its replicas cannot be reached"
    until(lambda: relay.run_once() and not Outbox.objects.exists(), what="the refused one")
    assert len(epochs(clean_broker, "reporting")) == Message.objects.count()


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"headers": json.dumps({"lang": 1 << 70})}, "Its headers cannot be sent"),
        ({"properties": '{"priority": 4711}'}, "Its headers cannot be sent"),
        ({"headers": json.dumps({"note": "x" * 200_000})}, "Its headers take 200,"),
        ({"headers": "no JSON"}, "Its headers cannot be sent"),
        ({"headers": '{"a": ' * 9999 + "1" + "}" * 9999}, "Its headers cannot be sent"),
        ({"properties": '{"expiration": "never"}'}, "PRECONDITION_FAILED"),
    ],
)
def test_one_bad_message_holds_up_no_other(
    relay: Relay, clean_broker: Connection, broken: dict[str, Any], reason: str
) -> None:
    good = waiting(count=2)
    (bad,) = waiting(**broken)
    good += waiting(count=2)

    relay.run_once()

    left = Outbox.objects.get()
    assert (left.message_id, left.failures) == (bad.pk, 1)
    assert reason in str(left.reason)
    assert sorted({task_id for task_id, _ in epochs(clean_broker, "reporting")}) == sorted(one.pk for one in good)
    waiting()
    assert relay.run_once()[0] == 1


def test_pauses_double_up_to_a_minute(transactional_db: None) -> None:
    pauses = []
    for failures in (0, 1, 5, 6, 50):
        (message,) = waiting(publish=False)
        publication(message, failures=failures).save()
        with outbox.batch("reporting", limit=1, max_bytes=1) as batch:
            batch.refuse({batch.publications[0].id: "why"})
        row = Outbox.objects.get(message_id=message.pk)
        pauses.append(round((row.due_at - timezone.now()).total_seconds()))

    assert pauses == [1, 2, 32, 60, 60]


def test_figures_that_make_no_sense_are_refused() -> None:
    with pytest.raises(CommandError, match="window must be at least 1"):
        call_command("relay", "--once", "--window=0")
