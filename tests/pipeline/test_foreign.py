"""What other programs publish to the exchange: each shape of message, and what becomes of it. All of it is real."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.utils import timezone
from django_celery_results.models import TaskResult
from kombu import Connection, Exchange, Queue

from routing.broker import topology
from routing.ledger import audit, pauses, results
from routing.ledger.tables import DeadLetter, Message, Outbox
from tests import probe as typed_probe
from tests.pipeline.test_workers import finished
from tests.waiting import until
from tests.workers import StartWorker, prefetched

probe: Any = typed_probe

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]

Publish = Callable[..., None]


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


def outcome(task_id: str) -> TaskResult:
    rows = TaskResult.objects.filter(task_id=task_id, status__in=results.RECORDED)
    return until(rows.first, what=f"the outcome of {task_id}")


@pytest.fixture
def publish(clean_broker: Connection) -> Publish:
    """As another language's client does: a body, headers, and properties by hand."""

    def publish(body: object, headers: dict[str, Any] | None = None, **properties: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        clean_broker.Producer().publish(
            data,
            exchange=topology.TASKS,
            routing_key="reporting",
            headers=headers or {},
            **{"content_type": "application/json", "content_encoding": "utf-8", **properties},
        )

    return publish


@pytest.fixture
def other(broker_url: str) -> Celery:
    """A plain Celery application, as docs/topology.md shows it, which knows nothing of the ledger."""
    app = Celery("other", broker=broker_url, set_as_current=False)
    door = Exchange("taskyard", type="topic", no_declare=True)
    app.conf.task_queues = [Queue("reporting", exchange=door, routing_key="reporting", no_declare=True)]
    app.conf.task_routes = {"reporting.*": {"queue": "reporting"}}
    return app


@pytest.mark.one_database
@pytest.mark.parametrize("protocol", [1, 2])
def test_a_plain_celery_application_has_its_tasks_run(start_worker: StartWorker, other: Celery, protocol: int) -> None:
    other.conf.task_protocol = protocol
    start_worker("reporting")

    sent = other.send_task("reporting.probe_add", (1, 2))
    later = other.send_task("reporting.probe_add", (3,), {"second": 4}, countdown=2)
    expiring = other.send_task("reporting.probe_add", (5, 6), expires=600)

    assert (outcome(sent.id).status, outcome(sent.id).result) == ("SUCCESS", "3")
    assert outcome(expiring.id).result == "11"
    row = outcome(later.id)
    assert row.result == "7"
    assert (row.date_started - row.date_created).total_seconds() > 0.5
    until(lambda: not Message.objects.exists(), what="all outcomes")
    assert audit.audit().balances


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_time_waits_in_the_ledger_and_not_in_a_worker(
    start_worker: StartWorker, other: Celery, clean_broker: Connection, protocol: int
) -> None:
    other.conf.task_protocol = protocol
    worker = start_worker("reporting")
    eta = timezone.now() + timedelta(hours=1)

    sent = other.send_task("reporting.probe_add", (1, 2), eta=eta)

    message = until(Message.objects.filter(pk=sent.id).first, what="the message in the ledger")
    assert abs(message.due_at - eta) < timedelta(seconds=1)
    assert (message.epoch, Outbox.objects.get().message_id) == (1, sent.id)
    worker.kill()
    Message.objects.update(due_at=timezone.now())
    Outbox.objects.update(due_at=timezone.now())
    start_worker("reporting")
    assert outcome(sent.id).result == "3"
    assert audit.audit().balances


@pytest.mark.one_database
@pytest.mark.parametrize("protocol", [1, 2])
def test_what_comes_too_late_is_revoked_and_recorded(
    start_worker: StartWorker, publish: Publish, journal: str, protocol: int
) -> None:
    fields = {"task": "reporting.probe", "id": "late", "expires": (timezone.now() - timedelta(seconds=1)).isoformat()}
    if protocol == 1:
        publish({**fields, "args": [journal], "kwargs": {}})
    else:
        publish([[journal], {}, {}], fields)

    start_worker("reporting")

    row = outcome("late")
    assert (row.status, results.read_meta(row)["reason"], probe.runs(journal)) == ("REVOKED", "expired", 0)
    assert audit.audit().balances


def _set_aside(broker: Connection) -> int:
    depth = topology.depths(broker, ["reporting.dead"])["reporting.dead"]
    return depth.ready if depth else 0


@pytest.mark.one_database
def test_what_expires_in_rabbitmq_itself_is_kept(
    start_worker: StartWorker, other: Celery, clean_broker: Connection, journal: str
) -> None:
    """Celery gives a message that expires a time-to-live, too."""
    other.send_task("reporting.probe", (journal,), expires=timezone.now() - timedelta(seconds=1))

    until(lambda: _set_aside(clean_broker) == 1, what="the dead letter")
    start_worker("reporting")
    assert until(DeadLetter.objects.first, what="its way into the ledger").reason == "expired"
    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"
    assert probe.runs(journal) == 0


@pytest.mark.one_database
def test_links_errbacks_and_chains_follow_through_the_ledger(start_worker: StartWorker, other: Celery) -> None:
    start_worker("reporting")
    add, fail = other.signature("reporting.probe_add"), other.signature("reporting.probe_fail")

    linked = other.send_task("reporting.probe_add", (1, 2), link=add.clone((10,)))
    failing = fail.apply_async(link_error=other.signature("reporting.probe_sum", ([7],), immutable=True))
    chain = (add.clone((1, 1)) | add.clone((2,)) | add.clone((3,))).apply_async()

    assert outcome(linked.id).result == "3"
    until(TaskResult.objects.filter(task_name="reporting.probe_add", result="13").exists, what="the link")
    assert outcome(failing.id).status == "FAILURE"
    until(TaskResult.objects.filter(task_name="reporting.probe_sum", result="7").exists, what="the errback")
    assert outcome(chain.id).result == "7"
    assert DeadLetter.objects.get().task_id == failing.id
    until(lambda: not Message.objects.exists(), what="all outcomes")
    assert audit.audit().balances


@pytest.mark.one_database
def test_members_of_a_chord_whose_counter_is_elsewhere_are_run(start_worker: StartWorker, publish: Publish) -> None:
    start_worker("reporting")
    chord = {"task": "reporting.probe_sum", "args": [], "kwargs": {}, "options": {"task_id": "body"}, "chord_size": 2}

    for number in range(2):
        headers = {"task": "reporting.probe_add", "id": f"member {number}", "group": "elsewhere"}
        publish([[number, 1], {}, {"chord": chord}], headers)

    assert [outcome(f"member {number}").result for number in range(2)] == ["1", "2"]
    assert not TaskResult.objects.filter(task_id="body").exists()


@pytest.mark.one_database
def test_a_task_that_has_been_retried_elsewhere_goes_on_counting(start_worker: StartWorker, publish: Publish) -> None:
    start_worker("reporting")

    publish([[], {}, {}], {"task": "reporting.probe_retry_by_policy", "id": "third", "retries": 2})
    publish([[], {}, {}], {"task": "reporting.probe_retry_by_policy", "id": "last", "retries": 3})

    assert outcome("last").status == "FAILURE"
    assert until(Message.objects.filter(pk="third", state="RETRY").first, what="its retry").attempt == 4


SHAPES = {
    # celery.node, rusty-celery and others: protocol 2, with the headers that they send.
    "protocol 2, the least there is": ([[1, 2], {}, {}], {"lang": "js", "task": "reporting.probe_add", "id": "%s"}),
    "protocol 2, every header null": (
        [[1, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
        {
            "lang": "rust",
            "task": "reporting.probe_add",
            "id": "%s",
            "root_id": "%s",
            "parent_id": None,
            "group": None,
            "shadow": None,
            "eta": None,
            "expires": None,
            "retries": 0,
            "timelimit": [None, None],
        },
    ),
    "protocol 2, null for no arguments": (
        [None, {"first": 1, "second": 2}, None],
        {"task": "reporting.probe_add", "id": "%s"},
    ),
    "protocol 2, an empty object as a list": ([[1, 2], [], []], {"task": "reporting.probe_add", "id": "%s"}),
    "protocol 2, two parts": ([[1, 2], {}], {"task": "reporting.probe_add", "id": "%s"}),
    # gocelery and node-celery: protocol 1, everything in the body.
    "protocol 1, as from Go": (
        {
            "id": "%s",
            "task": "reporting.probe_add",
            "args": [1, 2],
            "kwargs": {},
            "retries": 0,
            "eta": None,
            "expires": None,
        },
        None,
    ),
    "protocol 1, null for no named arguments": (
        {"id": "%s", "task": "reporting.probe_add", "args": [1, 2], "kwargs": None},
        None,
    ),
    "protocol 1, without arguments": (
        {"id": "%s", "task": "reporting.probe_add", "kwargs": {"first": 1, "second": 2}},
        None,
    ),
}


def with_id(value: Any, task_id: object) -> Any:
    """The specimen with this id in the place of ``%s``."""
    if isinstance(value, dict):
        return {name: with_id(each, task_id) for name, each in value.items()}
    if isinstance(value, list):
        return [with_id(each, task_id) for each in value]
    return task_id if value == "%s" else value


def test_other_languages_have_their_tasks_run_whatever_their_dialect(
    start_worker: StartWorker, publish: Publish
) -> None:
    start_worker("reporting")

    for name, (body, headers) in SHAPES.items():
        publish(with_id(body, name), with_id(headers, name))

    assert {name: outcome(name).result for name in SHAPES} == dict.fromkeys(SHAPES, "3")
    assert audit.audit().balances


@pytest.mark.one_database
@pytest.mark.parametrize("protocol", [1, 2])
def test_a_number_as_id_is_text_from_here_on(start_worker: StartWorker, publish: Publish, protocol: int) -> None:
    start_worker("reporting")
    body, headers = list(SHAPES.values())[0 if protocol == 2 else 5]

    publish(with_id(body, 4711), with_id(headers, 4711))
    publish(with_id(body, 4711), with_id(headers, 4711))

    assert (outcome("4711").status, outcome("4711").result) == ("SUCCESS", "3")
    until(lambda: not Message.objects.exists(), what="all outcomes")
    assert audit.audit().balances


def test_an_id_that_is_known_is_not_run_again(
    start_worker: StartWorker, publish: Publish, journal: str, tmp_path: Path
) -> None:
    worker = start_worker("reporting", "--concurrency=2")
    release = tmp_path / "release"
    running = probe.wait_for_file.delay(f"{journal}.running", str(release))
    until(Message.objects.filter(pk=running.id, state="STARTED").exists, what="its start")
    delayed = probe.report.apply_async((f"{journal}.delayed",), countdown=3600)
    done = probe.report.delay(journal)
    finished(done)

    for task_id in (running.id, delayed.id, done.id):
        publish([[journal], {}, {}], {"task": "reporting.probe", "id": task_id})

    worker.until_it_says(f"{done.id}] is not run: its outcome is recorded")
    worker.until_it_says(f"{running.id}] is not run: it is an older copy")
    worker.until_it_says(f"{delayed.id}] is not run: it is an older copy")
    release.touch()
    assert finished(running).result == "1"
    assert (probe.runs(journal), probe.runs(f"{journal}.delayed")) == (1, 0)
    assert Message.objects.get().pk == delayed.id
    assert audit.audit().balances


UNFIT: dict[str, list[tuple[Any, Any]]] = {
    "id": [
        ([[1, 2], {}, {}], {"task": "reporting.probe_add"}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": None}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": ["a"]}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": True}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": "x" * 256}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": "a\0b"}),
        ({"task": "reporting.probe_add", "args": [1, 2], "kwargs": {}}, None),
    ],
    "body": [
        (5, {"task": "reporting.probe_add", "id": "body 1"}),
        ([], {"task": "reporting.probe_add", "id": "body 2"}),
        (["a", {}, {}], {"task": "reporting.probe_add", "id": "body 3"}),
        ([[1, 2], "b", {}], {"task": "reporting.probe_add", "id": "body 4"}),
        ([[1, 2], {}, 5], {"task": "reporting.probe_add", "id": "body 5"}),
        (b'\xff"latin-1', {"task": "reporting.probe_add", "id": "body 6"}),
        (b"", {"task": "reporting.probe_add", "id": "body 7"}),
    ],
    "headers": [
        ([[1, 2], {}, {}], {"task": 5, "id": "headers 1"}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": "headers 2", "retries": "two"}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": "headers 3", "timelimit": "soon"}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": "headers 4", "eta": "tomorrow"}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": "headers 5", "eta": "9999-12-31T00:00:00Z"}),
        ([[1, 2], {}, {}], {"task": "reporting.probe_add", "id": "headers 6", "expires": "never"}),
        ([[1, 2], {}, {}], {"task": "reporting.no_such_task", "id": "headers 7"}),
        ({"no": "task"}, None),
        ("just text", {"id": "headers 8"}),
    ],
}


@pytest.mark.one_database
@pytest.mark.parametrize("what", UNFIT)
def test_what_cannot_be_a_task_is_kept_and_ends_no_worker(
    start_worker: StartWorker, publish: Publish, clean_broker: Connection, what: str
) -> None:
    worker = start_worker("reporting")

    for body, headers in UNFIT[what]:
        publish(body, headers)

    until(lambda: DeadLetter.objects.count() == len(UNFIT[what]), what="all of them kept")
    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"
    assert not worker.is_dead
    assert not worker.says("connection to broker lost")
    statuses = set(TaskResult.objects.exclude(result="2").values_list("status", flat=True))
    assert statuses <= {"FAILURE"}
    assert audit.audit().balances


@pytest.mark.one_database
def test_text_arrives_as_it_was_sent(start_worker: StartWorker, publish: Publish) -> None:
    start_worker("reporting")
    text = 'größer 🐘 \x7f \\ " \u2028'

    publish([[text], {"note": "ß"}, {}], {"task": "reporting.probe_rebuild", "id": "utf-8"})
    publish([[text], {}, {}], {"task": "reporting.probe_rebuild", "id": "no encoding"}, content_encoding=None)
    publish(b'[["a\\u0000b \\ud83d"], {}, {}]', {"task": "reporting.probe_rebuild", "id": "escapes"})

    assert json.loads(outcome("utf-8").result or "") == f"{text} ß"
    assert outcome("no encoding").status in results.RECORDED
    assert outcome("escapes").status in results.RECORDED
    assert audit.audit().balances


def test_a_foreign_message_of_a_paused_queue_goes_into_the_ledger(
    start_worker: StartWorker, clean_broker: Connection, other: Celery, journal: str, tmp_path: Path
) -> None:
    start_worker("reporting", "--prefetch-multiplier=5")
    other.conf.broker_transport_options = {"confirm_publish": True}
    release = tmp_path / "release"
    running = probe.wait_for_file.delay(f"{journal}.running", str(release))
    until(Message.objects.filter(pk=running.id, state="STARTED").exists, what="its start")
    sent = other.send_task("reporting.probe", (journal,))
    # Not an empty queue: it is empty before the message comes, too.
    until(lambda: sent.id in prefetched(clean_broker), what="its delivery")

    pauses.pause("reporting", by="ann", reason="x")

    until(Outbox.objects.filter(message_id=sent.id).exists, what="its place in the ledger")
    release.touch()
    finished(running)
    assert probe.runs(journal) == 0
    pauses.resume("reporting", by="ann")
    assert outcome(sent.id).result == "1"
    assert audit.audit().balances


def test_a_worker_killed_over_a_foreign_message_has_it_run_elsewhere(
    start_worker: StartWorker, other: Celery, journal: str
) -> None:
    first = start_worker("reporting", fault="claim.committed")
    sent = other.send_task("reporting.probe", (journal,))
    until(Message.objects.filter(pk=sent.id, state="STARTED").exists, what="its claim")

    first.kill()
    start_worker("reporting")

    assert outcome(sent.id).result == "1"
    assert audit.audit().balances


def test_times_without_a_zone_are_utc() -> None:
    from routing.worker import door

    assert door.moment("2026-11-26T12:00:00") == datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert door.moment("2026-11-26T12:00:00Z") == door.moment("2026-11-26T13:00:00+01:00")
    assert door.moment("soon") is None
    assert door.moment(5) is None
