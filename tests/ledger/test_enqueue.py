"""Enqueueing: what is in the ledger after a call, and after a rollback."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import chain, chord, group, signals
from celery.exceptions import QueueNotFound
from celery.exceptions import TimeoutError as CeleryTimeoutError
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, connections, router, transaction
from django.utils import timezone
from django_celery_results.models import ChordCounter

from project import celery_app
from routing.ledger import audit, processes
from routing.ledger.claim import Claim, claim
from routing.ledger.tables import Message, Outbox, Process, Tally
from routing.options import HONOURED, REFUSED, UnusableOption, markdown
from routing.refusals import (
    NaiveTime,
    NotCommitted,
    NotSerialisable,
    PayloadTooLarge,
    TaskOutsideTransaction,
    UnusableHeaders,
    UnusableId,
    UnusableTime,
)
from tests import probe as typed_probe
from tests.dead_broker import silent_broker

__all__ = ["silent_broker"]

COMPARED = (
    "task",
    "domain",
    "queue",
    "headers",
    "properties",
    "body",
    "attempt",
    "at_most_once",
    "root_id",
    "parent_id",
)
probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_task_is_a_message_a_publication_and_a_tally() -> None:
    result = probe.add.delay(1, 2)

    message = Message.objects.get(pk=result.id)
    assert (message.task, message.domain, message.queue) == ("reporting.probe_add", "reporting", "reporting")
    assert (message.state, message.epoch, message.attempt, message.runs) == ("PENDING", 1, 1, 0)
    assert json.loads(message.body)[:2] == [[1, 2], {}]
    assert Outbox.objects.filter(message_id=result.id, epoch=1, queue="reporting").count() == 1
    assert Tally.objects.get().accepted == 1


@pytest.mark.usefixtures("silent_broker")
def test_no_connection_to_the_broker_is_opened() -> None:
    with transaction.atomic():
        probe.add.apply_async((1, 2), countdown=5, expires=60)
        group(probe.add.s(1, 1), probe.add.s(2, 2)).apply_async()
        chord([probe.add.s(1, 1)])(probe.total.s())

    assert Message.objects.count() == 4


@pytest.mark.parametrize(
    "call",
    [
        lambda: probe.add.delay(1, 2),
        lambda: celery_app.send_task("reporting.probe_add", (1, 2)),
        lambda: chain(probe.add.s(1, 2), probe.add.s(3)).delay(),
        lambda: group(probe.add.s(1, 2), probe.add.s(3, 4)).delay(),
        lambda: chord([probe.add.s(1, 2), probe.add.s(3, 4)])(probe.total.s()),
        lambda: probe.add.enqueue_many([(1, 2), (3, 4)]),
        lambda: probe.add.apply_async((1, 2), unique_key="one"),
        lambda: probe.add.delay_on_commit(1, 2),
    ],
)
def test_a_rollback_leaves_nothing(call: Callable[[], object]) -> None:
    with transaction.atomic():
        call()
        assert Message.objects.exists()
        transaction.set_rollback(True)

    assert not Message.objects.exists()
    assert not Outbox.objects.exists()
    assert not Tally.objects.exists()
    assert not ChordCounter.objects.exists()


def test_a_group_is_one_transaction() -> None:
    with pytest.raises(NotSerialisable):
        group(probe.add.s(1, 2), probe.add.s(object(), 4)).delay()

    assert not Message.objects.exists()


def test_a_chord_whose_header_cannot_be_sent_leaves_no_counter() -> None:
    with pytest.raises(NotSerialisable):
        chord([probe.add.s(1, 2), probe.add.s(object(), 4)])(probe.total.s())
    probe.add.delay(1, 2)

    assert Message.objects.count() == 1
    assert not ChordCounter.objects.filter(count=2).exists()


SLACK = timedelta(milliseconds=5)


@pytest.mark.parametrize("seconds", [0.005, 0.25, 3600, 40 * 86400])
def test_a_countdown_is_kept_to_the_millisecond(seconds: float) -> None:
    result = probe.add.apply_async((1, 2), countdown=seconds, expires=seconds + 1)

    message = Message.objects.get(pk=result.id)
    publication = Outbox.objects.get()
    assert message.due_at - message.created_at == pytest.approx(timedelta(seconds=seconds), abs=SLACK)
    assert message.expires_at is not None
    assert message.expires_at - message.due_at == pytest.approx(timedelta(seconds=1), abs=SLACK)
    assert publication.due_at == message.due_at


@pytest.mark.parametrize("form", [lambda when: when, datetime.isoformat])
def test_an_eta_is_the_moment_it_is_due(form: Callable[[datetime], Any]) -> None:
    when = timezone.now() + timedelta(days=3)

    result = probe.add.apply_async((1, 2), eta=form(when))

    assert Message.objects.get(pk=result.id).due_at == pytest.approx(when, abs=timedelta(milliseconds=1))


@pytest.mark.parametrize("seconds", [-3600, -0.5, 0, 1e-7])
def test_a_countdown_of_nothing_or_less_is_due_at_once(seconds: float) -> None:
    result = probe.add.apply_async((1, 2), countdown=seconds)

    message = Message.objects.get(pk=result.id)
    assert message.due_at == pytest.approx(message.created_at, abs=SLACK)


def test_times_may_be_given_as_a_timedelta() -> None:
    result = probe.add.apply_async((1, 2), countdown=timedelta(hours=1), expires=timedelta(hours=2))

    message = Message.objects.get(pk=result.id)
    assert message.expires_at is not None
    assert message.due_at - message.created_at == pytest.approx(timedelta(hours=1), abs=SLACK)
    assert message.expires_at - message.due_at == pytest.approx(timedelta(hours=1), abs=SLACK)


def test_times_a_lifetime_away_are_kept() -> None:
    seconds = timedelta(days=99 * 365).total_seconds()

    probe.add.apply_async((1, 2), countdown=seconds, expires=seconds, unique_key="k", unique_for=seconds)
    probe.add.apply_async((1, 2), eta=timezone.now() - timedelta(seconds=seconds), expires=-seconds)

    assert all(message.due_at and message.expires_at for message in Message.objects.all())


FAR = datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        *(
            ({option: value}, f"{option}=.* is no time that can be kept: use seconds")
            for option in ("countdown", "expires", "unique_for")
            for value in (float("inf"), float("-inf"), float("nan"), 1e13, -1e13, 10**400, timedelta.max, True, [5])
        ),
        ({"countdown": "5"}, "use seconds or a timedelta"),
        ({"unique_for": "5"}, "use seconds or a timedelta"),
        ({"expires": "5"}, "use seconds, a timedelta, an aware datetime or ISO text"),
        ({"countdown": FAR}, "use seconds or a timedelta"),
        ({"expires": FAR}, "at most 100 years away"),
        ({"eta": FAR}, "at most 100 years away"),
        ({"eta": FAR.replace(year=1)}, "at most 100 years away"),
        ({"eta": FAR.isoformat()}, "at most 100 years away"),
        ({"eta": datetime.max.replace(tzinfo=timezone.get_fixed_timezone(-600))}, "at most 100 years away"),
        ({"eta": "tomorrow"}, "an aware datetime or ISO text"),
        ({"eta": 5}, "for a delay, countdown="),
        ({"eta": FAR.date()}, "an aware datetime or ISO text"),
        ({"unique_for": -1}, "from 0 to 100 years"),
    ],
)
def test_a_time_that_no_database_can_keep_is_refused_with_its_cure(options: dict[str, Any], cure: str) -> None:
    with transaction.atomic():
        with pytest.raises(UnusableTime, match=cure):
            probe.add.apply_async((1, 2), **{"unique_key": "k", **options})
        probe.add.delay(1, 2)

    assert Message.objects.count() == 1


def test_an_id_in_flight_or_finished_is_not_enqueued_again() -> None:
    first = probe.add.apply_async((1, 2), task_id="mine")
    probe.add.apply_async((3, 4), task_id="mine")
    assert json.loads(Message.objects.get().body)[0] == [1, 2]
    assert Outbox.objects.count() == 1

    first.revoke()
    probe.add.apply_async((3, 4), task_id="mine")

    assert not Message.objects.exists()
    assert first.state == "REVOKED"


@pytest.mark.parametrize(
    "send_twice",
    [
        lambda: probe.add.enqueue_many([(1, 2), (3, 4)], task_id="mine"),
        lambda: group(probe.add.s(1, 2).set(task_id="mine"), probe.add.s(3, 4).set(task_id="mine")).delay(),
    ],
)
def test_of_one_id_twice_in_a_batch_the_first_is_enqueued(send_twice: Callable[[], object]) -> None:
    send_twice()

    assert json.loads(Message.objects.get(pk="mine").body)[0] == [1, 2]
    assert Outbox.objects.count() == Tally.objects.get().accepted == 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"queue": "nowhere"}, QueueNotFound, "project/domains.py"),
        ({"args": ("x" * 1024 * 1024, 1)}, PayloadTooLarge, "TASKYARD_MAX_PAYLOAD"),
        ({"args": (object(), 1)}, NotSerialisable, "plain values"),
        ({"eta": datetime(2030, 1, 1)}, NaiveTime, "no time zone"),  # noqa: DTZ001
        ({"expires": datetime(2030, 1, 1)}, NaiveTime, "no time zone"),  # noqa: DTZ001
        ({"task_id": "ü" * 128}, UnusableId, "1 to 255 bytes"),
        ({"task_id": "a\0b"}, UnusableId, "NUL"),
        ({"root_id": 5}, UnusableId, "5 cannot be the root_id"),
        ({"parent_id": "a\0b"}, UnusableId, "NUL"),
        ({"headers": {"root_id": ["a"]}}, UnusableId, "text of 1 to 255 bytes"),
        ({"headers": {"parent_id": "ü" * 128}}, UnusableId, "text of 1 to 255 bytes"),
        ({"headers": {"id": 5}}, UnusableId, "5 cannot be the id"),
        ({"headers": {"id": None}}, UnusableId, "None cannot be the id"),
        ({"headers": {"note": "x" * 70_000}}, UnusableHeaders, "70,"),
        ({"headers": {"number": 1 << 70}}, UnusableHeaders, "64 bits"),
        ({"headers": {"x" * 300: 1}}, UnusableHeaders, "short text"),
        ({"priority": 4711}, UnusableHeaders, "0 to 255"),
        ({"reply_to": "x" * 300}, UnusableHeaders, "short text"),
    ],
)
def test_a_call_that_cannot_work_fails_before_the_transaction_is_spoiled(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with transaction.atomic():
        with pytest.raises(error, match=words):
            probe.add.apply_async(**{"args": (1, 2), **options})
        probe.add.delay(1, 2)

    assert Message.objects.count() == 1


OPTIONS: dict[str, Any] = {
    "args": (1, 2),
    "kwargs": {},
    "task_id": "mine",
    "countdown": 1,
    "eta": timezone.now(),
    "expires": 10,
    "queue": "maintenance",
    "unique_key": "one",
    "unique_for": 5,
    "priority": 3,
    "link": probe.add.s(1),
    "link_error": probe.total.si([1]),
    "headers": {"tenant": "a"},
    "ignore_result": True,
    "time_limit": 9,
    "soft_time_limit": 8,
    "shadow": "alias",
    "stamped_headers": [],
    "add_to_parent": False,
    "reply_to": "there",
    "correlation_id": "c",
    "message_id": "m",
    "app_id": "a",
    "type": "t",
    "retry": True,
    "retry_policy": {"max_retries": 1},
    "mandatory": True,
    "serializer": "json",
    "delivery_mode": 2,
}


def test_the_table_of_options_is_tested_whole() -> None:
    assert OPTIONS.keys() == HONOURED.keys()


@pytest.mark.parametrize("name", OPTIONS)
def test_an_honoured_option_is_taken(name: str) -> None:
    probe.add.apply_async(**{"args": (1, 2), name: OPTIONS[name]})

    assert Message.objects.count() == 1


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_option_tells_its_cure(name: str) -> None:
    with pytest.raises(UnusableOption, match=f"The option {name}= is not supported: ") as refusal:
        probe.add.apply_async((1, 2), **{name: "anything"})

    assert str(refusal.value).endswith(REFUSED[name])
    assert not Message.objects.exists()


def test_an_option_that_nobody_knows_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UnusableOption, match="did you mean countdown="):
        probe.add.apply_async((1, 2), contdown=5)

    assert not Message.objects.exists()


@pytest.mark.parametrize("option", [{"serializer": "pickle"}, {"delivery_mode": 1}])
def test_only_json_and_only_persistent(option: dict[str, Any]) -> None:
    with pytest.raises(UnusableOption):
        probe.add.apply_async((1, 2), **option)


def test_options_travel_with_the_message() -> None:
    limits = {"time_limit": 9, "soft_time_limit": 8}

    probe.add.apply_async((1, 2), priority=3, headers={"tenant": "a"}, shadow="alias", link=probe.add.s(5), **limits)

    message = Message.objects.get()
    headers = json.loads(message.headers)
    assert (headers["tenant"], headers["shadow"], headers["timelimit"]) == ("a", "alias", [9, 8])
    assert json.loads(message.properties)["priority"] == 3
    assert json.loads(message.body)[2]["callbacks"][0]["args"] == [5]


def test_publish_signals_fire_and_may_change_the_headers() -> None:
    published = []

    def trace(headers: dict[str, Any], **_: object) -> None:
        headers["traceparent"] = "00-1"

    def after(headers: dict[str, Any], **_: object) -> None:
        published.append(headers["id"])

    signals.before_task_publish.connect(trace)
    signals.after_task_publish.connect(after)
    try:
        result = probe.add.delay(1, 2)
    finally:
        signals.before_task_publish.disconnect(trace)
        signals.after_task_publish.disconnect(after)

    assert json.loads(Message.objects.get().headers)["traceparent"] == "00-1"
    assert published == [result.id]


def test_waiting_inside_the_enqueueing_transaction_fails_at_once() -> None:
    with transaction.atomic():
        result = probe.add.delay(1, 2)
        with pytest.raises(NotCommitted, match="after the transaction"):
            result.get(timeout=10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: chain(probe.add.s(1, 2), probe.add.s(3)).delay(),
        lambda: chord([probe.add.s(1, 1), probe.add.s(2, 2)])(probe.total.s()),
        lambda: (probe.add.s(1, 1) | group(probe.add.s(1), probe.add.s(2))).delay(),
        lambda: group(probe.add.s(1, 1) | probe.add.s(1), probe.add.s(2, 2)).delay(),
    ],
)
def test_waiting_for_what_comes_after_an_uncommitted_task_fails_at_once(call: Any) -> None:
    with transaction.atomic():
        result = call()
        with pytest.raises(NotCommitted):
            result.get(timeout=1)


def test_waiting_for_an_earlier_task_is_no_mistake() -> None:
    earlier = probe.add.delay(1, 2)

    with transaction.atomic():
        probe.add.delay(earlier.id, 1)
        with pytest.raises(CeleryTimeoutError):
            earlier.get(timeout=0.01)


def test_many_are_enqueued_in_one_transaction() -> None:
    with pytest.raises(NotSerialisable), transaction.atomic():
        probe.add.enqueue_many([(1, 2)] * 700 + [(object(), 2)])
    assert not Message.objects.exists()

    results = probe.add.enqueue_many([(n, n) for n in range(1201)], queue="maintenance")

    assert len({result.id for result in results}) == Message.objects.filter(domain="maintenance").count() == 1201
    assert sum(Tally.objects.values_list("accepted", flat=True)) == 1201


def test_what_stops_many_of_them_on_the_way_leaves_the_callers_transaction_as_it_was() -> None:
    with transaction.atomic():
        Group.objects.create(name="before")
        with pytest.raises(NotSerialisable):
            probe.add.enqueue_many([(1, 2)] * 1100 + [(object(), 2)])
        probe.add.delay(1, 2)

    assert Group.objects.get().name == "before"
    assert Message.objects.count() == Outbox.objects.count() == 1
    assert sum(Tally.objects.values_list("accepted", flat=True)) == 1


def test_whoever_makes_the_calls_may_ask_the_database_and_fail_there() -> None:
    def calls() -> Iterator[tuple[int, int]]:
        for number in range(1100):
            if number % 400 == 0:
                Group.objects.create(name=str(number))
                with pytest.raises(IntegrityError):
                    Group.objects.create(name=str(number))
            yield number, Group.objects.count()

    probe.add.enqueue_many(calls())

    assert Message.objects.count() == 1100
    assert Group.objects.count() == 3


def test_whoever_makes_the_calls_may_use_one_list_for_all() -> None:
    def calls() -> Iterator[list[int]]:
        one = [0, 0]
        for one[0] in range(1100):
            yield one

    probe.add.enqueue_many(calls())

    assert {json.loads(body)[0][0] for body in Message.objects.values_list("body", flat=True)} == set(range(1100))


def test_what_is_enqueued_while_calls_are_made_goes_with_them() -> None:
    def calls(last: object) -> Iterator[tuple[object, object]]:
        for number in range(1100):
            if number % 1000 == 0:
                probe.add.delay(-1, number)
            yield number, last if number == 1099 else 0

    with pytest.raises(NotSerialisable):
        probe.add.enqueue_many(calls(object()))
    assert not Message.objects.exists()

    probe.add.enqueue_many(calls(1))
    assert Message.objects.count() == 1102


def test_an_argument_may_ask_the_database_how_it_is_written() -> None:
    class Count:
        def __json__(self) -> int:
            return Message.objects.count()

    probe.add.enqueue_many([(number, Count() if number in (2, 700, 1200) else 0) for number in range(1300)])

    bodies = {args[0]: args[1] for args in (json.loads(one.body)[0] for one in Message.objects.all())}
    # As many as were stored when it was written: those of the batches before its own.
    assert [bodies[number] for number in (2, 700, 1200)] == [0, 500, 1000]


def test_of_one_id_in_two_batches_the_first_is_enqueued() -> None:
    ids = [str(uuid.uuid4()) for _ in range(1100)]
    ids[1000] = ids[3]

    probe.add.enqueue_many([(number, 0) for number in range(1100)], task_ids=ids)

    assert Message.objects.count() == Outbox.objects.count() == 1099
    assert json.loads(Message.objects.get(pk=ids[3]).body)[0] == [3, 0]


def test_named_arguments_are_enqueued_many_at_a_time() -> None:
    probe.add.enqueue_many([{"first": 1, "second": 2}])

    assert json.loads(Message.objects.get().body)[:2] == [[], {"first": 1, "second": 2}]


def test_many_are_enqueued_as_the_task_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.add, "queue", "maintenance", raising=False)
    monkeypatch.setattr(probe.add, "_exec_options", None)

    probe.add.enqueue_many([(1, 2)])

    message = Message.objects.get()
    assert message.queue == "maintenance"
    assert json.loads(message.headers)["timelimit"] == [probe.add.time_limit, probe.add.soft_time_limit]


def test_the_bodys_text_is_kept_to_the_letter() -> None:
    text = "größer\0 \ud83d ☂ \\u0000"

    probe.add.delay(text, float("inf"))

    assert json.loads(Message.objects.get().body)[0] == [text, float("inf")]


@pytest.mark.parametrize(
    "options",
    [{}, {"ignore_result": True, "priority": 3, "headers": {"tenant": "a"}, "shadow": "alias", "countdown": 60}],
)
def test_each_of_many_calls_is_enqueued_as_it_would_be_by_itself(options: dict[str, Any]) -> None:
    many = probe.add.enqueue_many([(0, 0), (1, 2), {"first": 3, "second": "ä" * 2000}], link=probe.add.s(5), **options)
    alone = [
        probe.add.apply_async((1, 2), link=probe.add.s(5), **options),
        probe.add.apply_async(None, {"first": 3, "second": "ä" * 2000}, link=probe.add.s(5), **options),
    ]

    def row(result: Any) -> dict[str, Any]:
        """Without what differs from call to call: its id, and the time."""
        found = Message.objects.filter(pk=result.id).values(*COMPARED).get()
        own = {name: str(value).replace(result.id, "ID") for name, value in found.items()}
        return {**own, "headers": json.loads(own["headers"]), "body": json.loads(own["body"])}

    assert [row(result) for result in many[1:]] == [row(result) for result in alone]
    assert [result.ignored for result in many[1:]] == [result.ignored for result in alone]


def test_every_one_of_many_calls_is_checked_against_the_tasks_arguments() -> None:
    with pytest.raises(TypeError):
        probe.add.enqueue_many([(1, 2), (1, 2, 3, 4)])

    assert not Message.objects.exists()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite's statements are several")
def test_a_single_task_is_one_statement(django_assert_num_queries: Any) -> None:
    with transaction.atomic(), django_assert_num_queries(1):
        probe.add.delay(1, 2)
    assert connection.vendor == "postgresql"


def test_the_documented_table_of_options_is_that_of_the_code() -> None:
    lifecycle = Path(__file__).resolve().parent.parent.parent / "docs" / "lifecycle.md"

    assert markdown() in lifecycle.read_text()


@pytest.fixture
def other_database(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[str]:
    """A second, empty database."""
    configured = {**connections.databases["default"], "ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    configured |= {"OPTIONS": {}}
    monkeypatch.setitem(connections.databases, "other", configured)
    yield "other"
    connections["other"].close()
    del connections["other"]


def test_a_transaction_of_another_database_is_warned_of(other_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Django's own test case lets nobody open it for real.
    monkeypatch.setattr(connections[other_database], "in_atomic_block", True)

    with pytest.warns(TaskOutsideTransaction, match="'default'"):
        probe.add.delay(1, 2)
    with transaction.atomic():
        probe.add.delay(1, 2)

    assert Message.objects.count() == 2


class ReadsFromReplica:
    """A router as projects with a read replica have one. The replica here lags for ever: it has not even tables."""

    def db_for_read(self, *_: Any, **__: Any) -> str:
        return "other"

    def db_for_write(self, *_: Any, **__: Any) -> str:
        return "default"


def test_a_replica_that_lags_is_never_asked(other_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "routers", [ReadsFromReplica()])
    owner = processes.register(Process.Role.WORKER, "w")

    result = probe.add.apply_async((1, 2), unique_key="k")
    assert probe.add.apply_async((1, 2), unique_key="k").id == result.id
    assert result.state == "PENDING"
    assert isinstance(claim(result.id, epoch=1, owner=owner, pid=1), Claim)
    assert processes.beat(owner)
    assert processes.Observer().observe() == []
    celery_app.control.revoke(result.id, terminate=False)
    assert result.state == "STARTED"
    assert audit.audit().accepted == 1


def test_both_halves_past_two_of_the_hour_that_comes_twice_are_kept_apart(transactional_db: None) -> None:
    """For Python they are equal: the time zone's rule is not asked."""
    summer, winter = (datetime(2027, 10, 31, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold) for fold in (0, 1))
    assert summer == winter

    group(probe.add.s(1, 2).set(eta=summer), probe.add.s(3, 4).set(eta=winter)).apply_async()

    first, second = Message.objects.order_by("due_at").values_list("due_at", flat=True)
    assert (first.isoformat(), second - first) == ("2027-10-31T00:30:00+00:00", timedelta(hours=1))
