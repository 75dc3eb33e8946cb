"""Alive and ready, as probes see it."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from routing.console import survey
from routing.console.questions import Question
from routing.ledger.tables import Process
from tests.console import specimens
from tests.console.conftest import Serve
from tests.services import DATABASE, free_port
from tests.waiting import until

READY, LIVE = "/health/ready", "/health/live"


def checks(client: Client, status: int) -> dict[str, Any]:
    response = client.get(READY)
    assert response.status_code == status, response.content
    found: dict[str, Any] = response.json()["checks"]
    return found


def test_alive_touches_nothing(client: Client) -> None:
    response = client.get(LIVE)  # No database mark: a query would fail this test.

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert not response.cookies


@pytest.mark.parametrize("url", [LIVE, READY])
def test_probes_may_only_read(client: Client, url: str) -> None:
    assert client.post(url).status_code == 405


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", [LIVE, READY])
def test_an_answer_is_never_kept(client: Client, absent_broker: int, url: str) -> None:
    response = client.head(url)

    assert response.headers["Cache-Control"] == "no-store"
    assert response.content == b""


def test_probes_are_not_sent_to_https(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = [r"^health/"]  # As the settings have it where SITE_URL is https.

    assert client.get(LIVE).status_code == 200
    assert client.get("/admin/").status_code == 301


@pytest.mark.broker
@pytest.mark.django_db(transaction=True)
def test_ready_when_all_is_there(client: Client, serve: Serve) -> None:
    serve()
    specimens.beat()
    specimens.relay()

    found = checks(client, 200)

    assert {"database", "broker", "beat", "relay", "lane notifications.bulk"} <= found.keys()
    assert all(check["ok"] and check["error"] is None and check["seconds"] >= 0 for check in found.values())


@pytest.mark.broker
@pytest.mark.django_db(transaction=True)
def test_a_lane_without_a_consumer_fails_by_name(client: Client, serve: Serve) -> None:
    serve("notifications", "notifications.urgent", "reporting", "maintenance")
    specimens.beat()
    specimens.relay()

    failed = {name: check["error"] for name, check in checks(client, 503).items() if not check["ok"]}

    assert failed == {
        "lane notifications.bulk": "No worker serves notifications.bulk. Start one: manage.py pool notifications.bulk"
    }


@pytest.mark.django_db(transaction=True)
def test_beat_that_never_ran_is_not_ready(client: Client, absent_broker: int) -> None:
    assert "No beat runs" in checks(client, 503)["beat"]["error"]


@pytest.mark.django_db(transaction=True)
def test_beat_that_fell_silent_is_not_ready(client: Client, absent_broker: int) -> None:
    specimens.beat(seconds_ago=7200)

    assert "last sign of life 2 h ago" in checks(client, 503)["beat"]["error"]


@pytest.mark.django_db(transaction=True)
def test_one_living_beat_among_dead_ones_will_do(client: Client, absent_broker: int) -> None:
    specimens.beat(seconds_ago=1)
    specimens.beat(seconds_ago=3600, pid=99)

    assert checks(client, 503)["beat"]["ok"]


@pytest.mark.django_db(transaction=True)
def test_a_relay_that_never_ran_fell_silent_or_died_is_not_ready(client: Client, absent_broker: int) -> None:
    assert "No relay runs" in checks(client, 503)["relay"]["error"]

    relay = specimens.relay(seconds_ago=7200)
    assert "last sign of life 2 h ago" in checks(client, 503)["relay"]["error"]

    Process.objects.filter(pk=relay.pk).update(beat_at=Now(), dead_at=Now())
    assert "last sign of life" in checks(client, 503)["relay"]["error"]


@pytest.mark.django_db(transaction=True)
def test_one_relay_that_works_among_those_in_trouble_will_do(client: Client, absent_broker: int) -> None:
    specimens.relay(trouble="It cannot reach RabbitMQ.")
    specimens.relay(seconds_ago=20)

    assert checks(client, 503)["relay"]["ok"]


@pytest.mark.django_db(transaction=True)
def test_an_absent_broker_is_named_without_its_password(client: Client, absent_broker: int) -> None:
    response = client.get(READY)

    assert f"127.0.0.1:{absent_broker}" in response.json()["checks"]["broker"]["error"]
    assert b"hush" not in response.content


@pytest.mark.django_db(transaction=True)
def test_a_frozen_broker_is_told_in_time(client: Client, frozen_broker: int) -> None:
    assert survey.PATIENCE < 3, "what docs/operations.md says"
    probe = Question(lambda: checks(client, 503), name="probe")

    # It never says a word, so whoever waits for one waits for ever, and no slow machine makes a difference.
    answer = probe.answer(seconds=30)

    assert answer.value is not None, answer.error
    assert "does not answer" in answer.value["broker"]["error"]
    assert answer.value["database"]["ok"]


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_named_and_nothing_of_it(
    client: Client, absent_broker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"PORT": str(free_port(below=45000)), "NAME": "/nowhere/taskyard"}
    for setting, value in elsewhere.items():
        monkeypatch.setitem(connections.databases["default"], setting, value)

    found = checks(client, 503)

    assert found["database"]["error"].startswith("The database cannot be reached. Start it, or correct")
    assert "nowhere" not in found["database"]["error"]
    assert found["beat"]["error"] == found["relay"]["error"] == "Not known: the database gave no answer."


@pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite is a file: nobody is there to hang")
@pytest.mark.django_db(transaction=True)
def test_a_database_that_hangs_is_told_in_time(
    client: Client, absent_broker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setitem(connections.databases["default"], "PORT", str(silent.getsockname()[1]))
        began = time.monotonic()
        found = checks(client, 503)
        took = time.monotonic() - began
        monkeypatch.undo()

    assert took < 3
    assert "does not answer in time" in found["database"]["error"]
    # The question that was left open ends with the connection; the next test puts its own.
    until(lambda: survey.DATABASE.answer(seconds=10).error is None, what="the database again")


@pytest.mark.skipif(DATABASE != "sqlite", reason="a new file is all it takes")
@pytest.mark.django_db(transaction=True)
def test_a_database_without_tables_is_told_from_one_that_is_away(
    client: Client, absent_broker: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(connections.databases["default"], "NAME", str(tmp_path / "new.sqlite3"))

    assert "manage.py migrate" in checks(client, 503)["database"]["error"]


@pytest.mark.django_db(transaction=True)
def test_the_probe_itself_asks_the_database_nothing(
    client: Client, absent_broker: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Its question is put by a thread that can be left waiting."""
    with django_assert_num_queries(0):
        checks(client, 503)
