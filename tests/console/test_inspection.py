"""What the broker is asked, and what it may not do to whoever asks."""

import time

import pytest
from celery import current_app
from kombu import Connection

from routing.broker.inspection import BrokerUnavailable, inspect
from routing.domains import registry
from tests.console.conftest import Serve

pytestmark = pytest.mark.broker


def test_every_queue_tells_its_depth_and_consumers(clean_broker: Connection, serve: Serve) -> None:
    serve("notifications.bulk")
    clean_broker.Producer().publish("x", exchange="taskyard", routing_key="nowhere")

    found = inspect(registry(), seconds=2)

    assert {"notifications.urgent", "reporting.dead", "taskyard.unrouted"} <= found.keys()
    bulk, urgent = found["notifications.bulk"], found["notifications.urgent"]
    assert bulk
    assert urgent
    assert (bulk.consumers, urgent.consumers) == (1, 0)


def test_an_absent_broker_is_a_sentence(absent_broker: int) -> None:
    with pytest.raises(BrokerUnavailable, match=f"cannot be reached at 127.0.0.1:{absent_broker}. Start it") as error:
        inspect(registry(), seconds=2)

    assert "hush" not in str(error.value)


def test_a_frozen_broker_holds_nobody_up(frozen_broker: int) -> None:
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=f"does not answer at 127.0.0.1:{frozen_broker}"):
        inspect(registry(), seconds=0.3)

    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("user", "vhost", "words"),
    [("guest:wrong", "", "refuses the user name or password"), ("guest:guest", "nowhere", "virtual host 'nowhere'")],
)
def test_a_wrong_url_is_told_from_an_absent_broker(
    clean_broker: Connection, monkeypatch: pytest.MonkeyPatch, user: str, vhost: str, words: str
) -> None:
    where = f"{clean_broker.hostname}:{clean_broker.port}"
    monkeypatch.setitem(current_app.conf, "broker_read_url", f"amqp://{user}@{where}/{vhost or '/'}")

    with pytest.raises(BrokerUnavailable, match=words):
        inspect(registry(), seconds=2)


def test_the_next_node_of_a_cluster_is_asked(
    clean_broker: Connection, absent_broker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"amqp://guest:guest@127.0.0.1:{absent_broker}//"
    there = f"amqp://guest:guest@{clean_broker.hostname}:{clean_broker.port}//"
    monkeypatch.setitem(current_app.conf, "broker_read_url", f"{away};{there}")

    assert inspect(registry(), seconds=2)["reporting"] is not None
