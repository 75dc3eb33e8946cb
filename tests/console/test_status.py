"""``manage.py status``, for people and for scripts."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from kombu import Connection

from routing.broker import topology
from routing.ledger.tables import Process
from tests.console import specimens
from tests.console.conftest import Serve
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def status(*options: str) -> tuple[int, str]:
    """Exit status and output."""
    output = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("status", *options, stdout=output)
    return int(ended.value.code or 0), output.getvalue()


def document() -> tuple[int, dict[str, Any]]:
    code, output = status("--json")
    return code, json.loads(output)


@pytest.mark.broker
def test_all_well_is_0(serve: Serve) -> None:
    serve()
    specimens.beat()
    specimens.relay()

    code, output = status()

    assert code == 0
    assert "All is well." in output


@pytest.mark.broker
def test_messages_set_aside_are_named_and_not_called_well(serve: Serve, clean_broker: Connection) -> None:
    serve()
    specimens.beat()
    specimens.relay()
    clean_broker.Producer().publish("dead", exchange=topology.DEAD, routing_key="reporting")
    until(lambda: "reporting.dead (1)" in status()[1], what="the dead letter")

    code, output = status()

    assert code == 0
    assert "Messages set aside, to be looked at: reporting.dead (1)." in output
    assert "All is well" not in output


@pytest.mark.broker
def test_the_table_shows_queues_consumers_pools_and_the_last_beat(serve: Serve) -> None:
    serve()
    specimens.beat(seconds_ago=5)
    specimens.relay(seconds_ago=3)

    rows = [" ".join(line.replace("│", " ").split()) for line in status()[1].splitlines()]

    assert "notifications.bulk 0 1 1 x 16 45 / 75" in rows
    assert "reporting.dead 0" in rows
    assert any(row.startswith("beat 5.") and row.endswith("s ago") for row in rows)
    assert any(row.startswith("relay 3.") and row.endswith("s ago") for row in rows)


@pytest.mark.broker
def test_a_lane_without_a_consumer_is_1_and_named(serve: Serve) -> None:
    serve("notifications", "notifications.urgent", "reporting", "maintenance")
    specimens.beat()
    specimens.relay()

    code, output = status()

    assert code == 1
    assert "No worker serves notifications.bulk. Start one: manage.py pool notifications.bulk" in output
    assert "No worker serves reporting" not in output


@pytest.mark.broker
@pytest.mark.parametrize(("seconds_ago", "words"), [(None, "No beat runs"), (7200, "sign of life 2 h ago")])
def test_beat_absent_or_late_is_1(serve: Serve, seconds_ago: float | None, words: str) -> None:
    serve()
    specimens.relay()
    if seconds_ago:
        specimens.beat(seconds_ago=seconds_ago)

    code, output = status()

    assert (code, words in output) == (1, True)


@pytest.mark.broker
def test_a_relay_absent_is_1(serve: Serve) -> None:
    serve()
    specimens.beat()

    code, output = status()

    assert code == 1
    assert "No relay runs, so no task gets from the ledger to RabbitMQ. Start one: manage.py relay" in output


@pytest.mark.broker
def test_a_relay_in_trouble_says_which(serve: Serve) -> None:
    serve()
    specimens.beat()
    specimens.relay(trouble="RabbitMQ raised its memory alarm. Give it more memory.")

    code, output = status()

    assert code == 1
    assert "cannot do its work. RabbitMQ raised its memory alarm. Give it more memory." in output


@pytest.mark.broker
def test_a_worker_that_takes_no_messages_is_1_and_named(serve: Serve) -> None:
    serve()
    specimens.beat()
    specimens.relay()
    trouble = "The worker reporting@app-1 is alive but has taken no messages for 40 s."
    Process.objects.filter(pk=specimens.worker().pk).update(consuming=False, trouble=trouble)

    code, output = status()

    assert code == 1
    assert f"{trouble} Restart it: manage.py pool reporting" in output
    assert document()[1]["workers"][0]["consuming"] is False


def test_an_absent_broker_is_2(absent_broker: int) -> None:
    specimens.beat()

    code, output = status()

    assert code == 2
    assert f"RabbitMQ cannot be reached at 127.0.0.1:{absent_broker}. Start it" in output
    assert "hush" not in output


def test_a_frozen_broker_is_2(frozen_broker: int) -> None:
    assert status()[0] == 2


@pytest.mark.broker
def test_the_document_for_programs_holds_all_of_it(serve: Serve) -> None:
    serve("reporting")
    specimens.beat()
    specimens.relay()

    code, found = document()

    assert code == 1
    assert found["status"] == "failing"
    assert len(found["problems"]) == 4
    reporting = next(queue for queue in found["queues"] if queue["name"] == "reporting")
    assert (reporting["ready"], reporting["consumers"], reporting["pool"]["time_limit"]) == (0, 1, 900)
    assert found["dead_letters"] == {"notifications": 0, "reporting": 0, "maintenance": 0}
    assert found["beat"]["seconds_ago"] < 60
    assert found["relay"]["trouble"] is None
    assert found["workers"] == []


def test_what_is_not_known_is_null_for_programs(absent_broker: int) -> None:
    _, found = document()

    assert found["queues"][0]["consumers"] is None
    assert found["unrouted"] is None
    assert found["beat"] is None
