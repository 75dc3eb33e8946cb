"""What the spans of a task tell, and what they belong to."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord
from django.test import Client

from routing import tracing
from routing.ledger.outbox import Publication
from routing.ledger.tables import Message
from routing.pytest_plugin import Taskyard
from routing.refusals import PayloadTooLarge
from tests import probe as typed_probe
from tests.api_client import Api, new_token
from tests.inline import deliver, worker
from tests.sensitive import tasks as typed_tasks
from tests.tracing.conftest import Recorded

probe: Any = typed_probe
charges: Any = typed_tasks
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
ALL_RETRIES = timedelta(hours=1)


def trace_ids(spans: list[Any]) -> set[str]:
    return {f"{span.context.trace_id:032x}" for span in spans}


def parent_of(span: Any) -> int:
    return int(span.parent.span_id)


def spans() -> Any:
    return tracing.active


def test_a_task_is_told_from_its_call_to_its_outcome(recorded: Recorded, taskyard: Taskyard) -> None:
    with recorded.calling() as caller:
        result = probe.add.delay(1, 2)

    taskyard.drain()

    created, run, settled = recorded.one("create"), recorded.one("process"), recorded.one("settle")
    assert parent_of(created) == caller.get_span_context().span_id
    assert parent_of(run) == created.context.span_id
    assert parent_of(settled) == run.context.span_id
    assert [one.name for one in (created, run, settled)] == [
        "create reporting",
        "process reporting",
        "settle reporting",
    ]
    assert [one.kind.name for one in (created, run, settled)] == ["PRODUCER", "CONSUMER", "INTERNAL"]
    told = dict(settled.attributes)
    assert told.pop("taskyard.worker")
    assert told == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "settle",
        "messaging.operation.type": "settle",
        "messaging.destination.name": "reporting",
        "messaging.message.id": result.id,
        "messaging.message.conversation_id": result.id,
        "taskyard.task": "reporting.probe_add",
        "taskyard.domain": "reporting",
        "taskyard.lane": "default",
        "taskyard.attempt": 1,
        "taskyard.outcome": "SUCCESS",
    }
    assert run.attributes["taskyard.outcome"] == "SUCCESS"
    assert run.status.is_unset


def test_nothing_of_a_task_is_left_in_the_thread_that_ran_it(recorded: Recorded, taskyard: Taskyard) -> None:
    probe.add.delay(1, 2)
    taskyard.drain()

    probe.add.delay(3, 4)

    first, second = recorded.of("create")
    assert first.context.trace_id != second.context.trace_id
    assert second.parent is None


def test_runs_of_a_retried_task_are_siblings_each_with_a_link_to_the_one_before(
    recorded: Recorded, taskyard: Taskyard, tmp_path: Path
) -> None:
    probe.succeed_at_third_run.delay(str(tmp_path / "journal"))

    taskyard.drain(at=ALL_RETRIES)

    runs, created = recorded.of("process"), recorded.one("create")
    assert {parent_of(run) for run in runs} == {created.context.span_id}
    assert [run.attributes["taskyard.attempt"] for run in runs] == [1, 2, 3]
    assert [run.attributes["taskyard.outcome"] for run in runs] == ["RETRY", "RETRY", "SUCCESS"]
    assert [[link.context.span_id for link in run.links] for run in runs] == [
        [],
        [runs[0].context.span_id],
        [runs[1].context.span_id],
    ]
    assert [run.attributes.get("error.type") for run in runs] == ["TransientError", "TransientError", None]


def test_a_chain_and_a_chord_are_in_the_trace_of_their_caller(recorded: Recorded, taskyard: Taskyard) -> None:
    with recorded.calling() as caller:
        chain(chord([probe.add.s(1, 2), probe.add.s(3, 4)], probe.total.s()), probe.add.s(1)).delay()

    taskyard.drain()

    body, second = recorded.one("create", "reporting.probe_sum"), recorded.of("settle", "reporting.probe_add")[1]
    assert [run.attributes["taskyard.outcome"] for run in recorded.of("process")] == ["SUCCESS"] * 4
    assert trace_ids(recorded.all) == {f"{caller.get_span_context().trace_id:032x}"}
    assert parent_of(body) == second.context.span_id


def test_what_a_task_enqueues_is_in_its_trace(recorded: Recorded, taskyard: Taskyard, tmp_path: Path) -> None:
    probe.take_effect.delay(str(tmp_path / "journal"), "name")

    taskyard.drain()

    outer, inner = recorded.one("process", "reporting.probe_effect"), recorded.one("create", "reporting.probe_add")
    assert parent_of(inner) == outer.context.span_id
    assert len(trace_ids(recorded.all)) == 1


def test_another_programs_trace_is_gone_on_with(recorded: Recorded) -> None:
    probe.add.delay(1, 2)
    (created,) = recorded.all

    with worker():
        deliver(Message.objects.get(), traceparent=TRACEPARENT, tracestate="shop=1")

    run = recorded.one("process")
    assert trace_ids([run]) == {TRACE}
    assert f"{parent_of(run):016x}" == SPAN
    assert run.context.trace_state == {"shop": "1"}
    assert created.context.trace_id != run.context.trace_id


@pytest.mark.parametrize("given", ["", "00-0-0-01", 7, {"an": "object"}, "x" * 500])
def test_what_others_wrote_wrongly_is_no_trace(recorded: Recorded, given: object) -> None:
    probe.add.delay(1, 2)

    with worker():
        deliver(Message.objects.get(), traceparent=given, tracestate=given, taskyard_run_before=given)

    run = recorded.one("process")
    assert run.parent is None
    assert run.links == ()
    assert run.attributes["taskyard.outcome"] == "SUCCESS"


def test_what_a_web_request_enqueues_is_in_the_trace_that_it_came_with(recorded: Recorded) -> None:
    letter = {"to": ["ann@example.org"], "subject": "Hello", "text": "It works."}

    answer = Api(new_token("notifications:send")).post("notifications", letter, traceparent=TRACEPARENT)

    assert answer.status_code == 202, answer.json()
    created = recorded.one("create")
    assert trace_ids([created]) == {TRACE}
    assert f"{parent_of(created):016x}" == SPAN
    assert json.loads(Message.objects.get().headers)["traceparent"].startswith(f"00-{TRACE}-")


def test_after_a_request_its_trace_is_over(recorded: Recorded, client: Client) -> None:
    client.get("/health/live", headers={"traceparent": TRACEPARENT})

    probe.add.delay(1, 2)

    assert recorded.one("create").parent is None


def test_of_many_calls_alike_all_are_in_the_trace_of_the_first(recorded: Recorded, taskyard: Taskyard) -> None:
    probe.add.enqueue_many([(1, 2), (3, 4), (5, 6)])

    taskyard.drain()

    created, runs = recorded.one("create"), recorded.of("process")
    assert len(runs) == 3
    assert {parent_of(run) for run in runs} == {created.context.span_id}


def test_a_failure_is_on_its_run(recorded: Recorded, taskyard: Taskyard) -> None:
    probe.fail_for_good.delay()

    taskyard.drain(raises=False)

    run, settled = recorded.one("process"), recorded.one("settle")
    assert not run.status.is_ok
    assert run.attributes["error.type"] == "PermanentError"
    (event,) = run.events
    assert event.attributes["exception.type"] == "PermanentError"
    assert "no such address" in event.attributes["exception.message"]
    assert "fail_for_good" in event.attributes["exception.stacktrace"]
    assert (settled.attributes["taskyard.outcome"], settled.status.is_unset) == ("FAILURE", True)


@pytest.mark.parametrize(("words", "told"), [("half of \ud83d", r"half of \ud83d"), (None, "<exception str() failed>")])
def test_an_error_that_cannot_be_told_as_it_is_ends_its_span_all_the_same(
    recorded: Recorded, words: str | None, told: str
) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            if words is None:
                raise RuntimeError("no words")
            return words

    class Request:
        task, id, hostname, delivery_info = "reporting.odd", "7", None, None

    run = spans().begin(Request())
    spans().end(run, Odd(), ())

    (event,) = recorded.one("process").events
    assert event.attributes["exception.message"] == told
    assert event.attributes["exception.stacktrace"].encode()


def test_no_span_tells_a_secret(recorded: Recorded, taskyard: Taskyard) -> None:
    charges.decline.delay("4111111111111111")
    charges.charge.delay("order 7", card="4111111111111111", pin=987654)

    taskyard.drain(at=ALL_RETRIES, raises=False)

    told = " ".join(one.to_json() for one in recorded.all)
    assert len(recorded.of("process")) == 3
    assert "is declined" in told
    assert "4111111111111111" not in told
    assert "987654" not in told


def test_a_call_that_is_refused_says_so_and_not_with_what(recorded: Recorded) -> None:
    with pytest.raises(PayloadTooLarge):
        probe.say.delay("top secret " * 200_000)

    created = recorded.one("create")
    assert created.attributes["error.type"] == "PayloadTooLarge"
    assert "top secret" not in created.to_json()


def test_what_nobody_runs_is_settled_in_its_trace(recorded: Recorded) -> None:
    result = probe.add.delay(1, 2)
    created = recorded.one("create")

    result.revoke()

    settled = recorded.one("settle")
    assert parent_of(settled) == created.context.span_id
    assert settled.attributes["taskyard.outcome"] == "REVOKED"


def test_an_outcome_that_comes_too_late_is_told_as_discarded(recorded: Recorded) -> None:
    probe.add.delay(1, 2)
    message = Message.objects.get()
    told = spans().told(_request_of(message))

    won = tracing.settled(told, "SUCCESS", lambda: False)

    assert not won
    assert recorded.one("settle").attributes["taskyard.discarded"] is True


def test_a_relay_tells_what_it_published_and_what_went_back(recorded: Recorded) -> None:
    one, other, without = publication(1, TRACEPARENT), publication(2, TRACEPARENT), publication(3, None)

    refused = {2: "RabbitMQ has no queue reporting."}
    spans().published([one, other, without], refused, began_at=1_000, ended_at=3_000)

    published, back = recorded.of("publish")
    assert trace_ids([published, back]) == {TRACE}
    assert f"{parent_of(published):016x}" == SPAN
    assert (published.attributes["messaging.operation.type"], published.kind.name) == ("send", "CLIENT")
    assert (published.attributes["messaging.message.id"], published.attributes["taskyard.attempt"]) == ("task-1", 2)
    assert (published.start_time, published.end_time) == (1_000, 3_000)
    assert published.status.is_unset
    assert back.status.description == "RabbitMQ has no queue reporting."


def _request_of(message: Message) -> Any:
    from routing.worker.backend import request_of

    return request_of(message)


def publication(number: int, traceparent: str | None) -> Publication:
    headers = {"task": "reporting.probe_add", "root_id": f"task-{number}"}
    return Publication(
        id=number,
        message_id=f"task-{number}",
        epoch=2,
        queue="reporting",
        failures=0,
        attempt=2,
        headers=json.dumps(headers | ({"traceparent": traceparent} if traceparent else {})),
        properties="{}",
        body="[]",
    )
