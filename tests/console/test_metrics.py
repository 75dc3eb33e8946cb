"""Metrics: the right figures, for whoever may read them, and cheap however much there is."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.db.models.functions import Now
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from routing.console import metric_families
from routing.console.readings import REST, Reading
from routing.ledger.tables import DeadLetter, Message, Outbox, Process, Tally
from routing.schedule import operating
from tests.console import schedule_specimens, specimens
from tests.console.conftest import Serve
from tests.console.schedule_specimens import ago
from tests.services import free_port

URL = "/metrics"
TOKEN = "0123456789abcdef-of-a-test"  # noqa: S105
Samples = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a web process that has just started."""
    monkeypatch.setattr(metric_families, "LEDGER", Reading(metric_families._read, name="ask-ledger"))


def samples(client: Client) -> Samples:
    """By name, without the prefix, and values of labels."""
    response = client.get(URL)
    assert response.status_code == 200, response.content
    return {
        (sample.name.removeprefix("taskyard_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


@pytest.mark.django_db(transaction=True)
def test_what_is_in_flight_is_told_by_queue_and_state(client: Client, absent_broker: int) -> None:
    specimens.a_busy_hour()
    Outbox.objects.update(due_at=Now() + timedelta(hours=1))
    waits = specimens.in_flight(queue="reporting")
    Message.objects.filter(pk=waits.pk).update(due_at=Now() - timedelta(minutes=7))

    found = samples(client)

    assert found["tasks_in_flight", specimens.BULK, "out"] == 4
    assert found["tasks_in_flight", specimens.URGENT, "waiting"] == 1
    assert found["tasks_in_flight", "maintenance", "waiting"] == 0
    assert sum(value for key, value in found.items() if key[-1] == "running") == 1
    assert 420 <= found["oldest_wait_seconds", "reporting"] < 480
    assert found["oldest_wait_seconds", specimens.DEFAULT] == 0, "what is not due waits for nothing"
    assert found["outbox_lag_seconds", specimens.URGENT] == 0


@pytest.mark.django_db(transaction=True)
def test_a_publication_that_no_relay_makes_is_told(client: Client, absent_broker: int) -> None:
    row = specimens.in_flight(queue=specimens.BULK)
    Outbox.objects.create(message_id=row.pk, epoch=1, queue=row.queue, due_at=Now() - timedelta(minutes=3))

    assert 180 <= samples(client)["outbox_lag_seconds", specimens.BULK] < 240


@pytest.mark.django_db(transaction=True)
def test_a_row_that_was_deleted_past_the_ledger_shows_in_the_books(client: Client, absent_broker: int) -> None:
    Tally.objects.create(domain="notifications", accepted=9, finished=6, pruned=2)
    rows = [specimens.in_flight() for _ in range(3)]
    found = samples(client)
    assert found["books_difference", "notifications"] == 0
    assert found["tasks_accepted_total", "notifications"] == 9
    assert found["tasks_finished_total", "notifications"] == 6
    assert found["tasks_pruned_total", "notifications"] == 2

    Message.objects.filter(pk=rows[0].pk).delete()

    assert _again(client)["books_difference", "notifications"] == 1


@pytest.mark.django_db(transaction=True)
def test_only_open_dead_letters_count(client: Client, absent_broker: int) -> None:
    letter = specimens.dead_letter(specimens.result())
    specimens.unreadable_letter()
    DeadLetter.objects.filter(pk=letter.pk).update(state=DeadLetter.State.DISCARDED)

    assert samples(client)["dead_letters_open", "notifications"] == 1


@pytest.mark.django_db(transaction=True)
def test_processes_count_while_they_beat(client: Client, absent_broker: int) -> None:
    specimens.beat()
    specimens.beat(seconds_ago=3600, pid=99)
    dead = specimens.relay()
    Process.objects.filter(pk=dead.pk).update(dead_at=Now())

    found = samples(client)

    assert [found["processes", role] for role in ("beat", "relay", "worker")] == [1, 0, 0]


@pytest.mark.django_db(transaction=True)
def test_a_slot_that_was_late_or_missed_shows(client: Client, absent_broker: int) -> None:
    schedule_specimens.registered({**schedule_specimens.BUILT_IN, "sweep": schedule_specimens.EVERY["sweep"]})
    schedule_specimens.missed("weekly-report", ago(hours=3))
    fired = schedule_specimens.fired("weekly-report", ago(hours=2), late=timedelta(minutes=3))
    schedule_specimens.overdue("sweep", hours=1)
    operating.pause("clean-up", by="ann", reason="moving")

    found = samples(client)

    assert found["schedule_missed", "weekly-report"] == 1
    assert found["schedule_late", "weekly-report"] == 1
    assert found["schedule_last_fired_timestamp_seconds", "weekly-report"] == fired.decided_at.timestamp()
    assert ("schedule_last_fired_timestamp_seconds", "clean-up") not in found
    assert found["schedule_overdue_seconds", "sweep"] > 3000
    assert found["schedule_paused", "clean-up"] == 1


@pytest.mark.broker
@pytest.mark.django_db(transaction=True)
def test_what_the_broker_has_is_told(client: Client, serve: Serve) -> None:
    serve("reporting")

    found = samples(client)

    assert found["up", "broker"] == found["up", "database"] == 1
    assert (found["broker_consumers", "reporting"], found["broker_consumers", "maintenance"]) == (1, 0)
    assert found["broker_ready", "reporting"] == 0


@pytest.mark.django_db(transaction=True)
def test_away_is_a_figure_and_no_error(
    client: Client, absent_broker: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKYARD_METRICS_TOKEN = TOKEN
    elsewhere = {"PORT": str(free_port(below=45000)), "NAME": "/nowhere/taskyard"}
    for setting, value in elsewhere.items():
        monkeypatch.setitem(connections.databases["default"], setting, value)
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"

    assert samples(client) == {("up", "database"): 0, ("up", "broker"): 0}


def test_a_token_that_is_set_is_asked_of_everybody(client: Client, settings: Settings) -> None:
    settings.TASKYARD_METRICS_TOKEN = TOKEN
    for shown in ("", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", "Bearer \u00e9"):
        response = client.get(URL, HTTP_AUTHORIZATION=shown)
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
        assert TOKEN not in response.content.decode()


@pytest.mark.parametrize(
    "meta",
    [
        {"REMOTE_ADDR": "10.0.0.7"},
        {"REMOTE_ADDR": ""},
        {"HTTP_X_FORWARDED_FOR": "203.0.113.9"},
        {"HTTP_FORWARDED": "for=203.0.113.9"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
    ],
)
def test_without_a_token_nobody_elsewhere_reads(client: Client, meta: dict[str, str]) -> None:
    response = client.get(URL, **meta)  # type: ignore[arg-type]

    assert response.status_code == 403
    assert b"TASKYARD_METRICS_TOKEN" in response.content


def test_behind_a_proxy_that_hides_itself_the_site_gives_it_away(client: Client, settings: Settings) -> None:
    settings.SITE_URL = "http://taskyard.example.com"

    assert client.get(URL).status_code == 403


def test_metrics_may_only_be_read_and_are_never_kept(client: Client) -> None:
    assert client.post(URL).status_code == 405
    assert client.get(URL, REMOTE_ADDR="10.0.0.7")["Cache-Control"] == "no-store"


def test_a_dear_answer_is_asked_for_again_only_after_a_rest() -> None:
    now, asked = [100.0], []

    def ask() -> int:
        asked.append(now[0])
        now[0] += 3  # So long did it take.
        return len(asked)

    reading = Reading(ask, name="dear", clock=lambda: now[0])
    first = reading.latest(seconds=5)
    now[0] += 3 * REST - 1
    again = reading.latest(seconds=5)
    assert first is again
    assert first is not None
    assert (first.value, reading.age(first)) == (1, 3 * REST - 1)

    now[0] += 1
    newest = reading.latest(seconds=5)

    assert newest is not None
    assert newest.value == 2


def test_who_will_not_wait_gets_the_answer_before() -> None:
    gate, asked = threading.Event(), threading.Semaphore(0)

    def ask() -> str:
        asked.release()
        gate.wait(60)
        return "an answer"

    reading = Reading(ask, name="slow")
    assert reading.latest(seconds=0.01) is None
    assert asked.acquire(timeout=60)
    assert reading.latest(seconds=0.01) is None
    assert not asked.acquire(blocking=False), "one question is put, however many ask"

    gate.set()

    known = reading.latest(seconds=60)
    assert known is not None
    assert known.value == "an answer"


def test_an_error_is_raised_and_the_next_one_asks_anew() -> None:
    errors = [ValueError("away")]

    def ask() -> str:
        if errors:
            raise errors.pop()
        return "back"

    reading = Reading(ask, name="failing")
    with pytest.raises(ValueError, match="away"):
        reading.latest(seconds=60)

    known = reading.latest(seconds=60)
    assert known is not None
    assert known.value == "back"


def _again(client: Client) -> Samples:
    """Without the rest in between."""
    metric_families.LEDGER = Reading(metric_families._read, name="ask-ledger")
    return samples(client)
