"""The broker's users in deploy/rabbitmq-users.sh: each role does its work with its own, and can do nothing else."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import AccessRefused
from kombu import Connection

from project.services.rabbitmq import Node, find_server
from routing.broker import evidence
from routing.domains import registry
from routing.ledger.tables import BrokerMarker
from tests import probe as typed_probe
from tests.waiting import until
from tests.workers import ROOT, StartRelay, StartWorker, environment

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [
    pytest.mark.broker,
    pytest.mark.pipeline,
    pytest.mark.one_database,
    pytest.mark.django_db(transaction=True),
]
ROLES = ("operator", "relay", "worker", "web")
UrlOf = Callable[[str], str]


@pytest.fixture
def url_of(broker_node: Node | None, clean_broker: Connection, tmp_path: Path) -> Iterator[UrlOf]:
    """Run the script, twice, on a broker that has every queue; then a role's URL."""
    if broker_node is None:
        pytest.skip("BROKER_URL names a broker whose users are not ours to make")
    BrokerMarker.objects.get_or_create(pk=1, defaults={"marker": "tests"})
    evidence.examine(clean_broker, registry())
    control = tmp_path / "rabbitmqctl"
    program, name = Path(find_server()).with_name("rabbitmqctl"), broker_node._nodename
    control.write_text(f'#!/bin/sh\nexec {shlex.quote(str(program))} --node {name} "$@"\n')
    control.chmod(0o755)
    passwords = {f"{role.upper()}_PASSWORD": f"secret-of-{role}" for role in ROLES}
    for _ in range(2):
        done = subprocess.run(
            ["sh", "deploy/rabbitmq-users.sh"],
            cwd=ROOT,
            env={**broker_node.environment(), **passwords, "RABBITMQCTL": str(control)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    yield lambda role: os.environ["BROKER_URL"].replace("guest:guest", f"{role}:secret-of-{role}")
    for role in ROLES:
        broker_node.control("delete_user", role)


def test_each_role_does_its_work_and_nothing_else(
    url_of: UrlOf, start_relay: StartRelay, start_worker: StartWorker, tmp_path: Path
) -> None:
    relay = start_relay(BROKER_URL=url_of("relay"))
    rights = {"BROKER_URL": url_of("worker"), "TASKYARD_REMOTE_CONTROL": "0"}
    worker = start_worker("reporting", relay=False, **rights)

    result = probe.report.delay(str(tmp_path / "journal"))

    until(lambda: result.state == "SUCCESS", what="the outcome")
    for process in (relay, worker):
        assert not process.says("ACCESS_REFUSED")
    queues = {queue["name"]: queue for queue in status(url_of("web"))["queues"]}
    assert queues["reporting"]["consumers"] == 1

    for role in ("relay", "worker", "web"):
        assert refused(url_of(role), lambda channel: channel.queue_declare("of-my-own"))
        assert refused(url_of(role), lambda channel: channel.queue_delete("reporting"))
    for role in ("worker", "web"):
        assert refused(url_of(role), publish)
    assert refused(url_of("web"), lambda channel: channel.basic_get("reporting"))
    assert refused(url_of("worker"), lambda channel: channel.basic_get("taskyard.unrouted"))


def publish(channel: Any) -> None:
    from amqp import Message

    channel.confirm_select()
    channel.basic_publish_confirm(Message("x"), exchange="", routing_key="reporting")


def refused(url: str, act: Callable[[Any], object]) -> bool:
    with Connection(url) as connection:
        try:
            act(connection.default_channel)
        except AccessRefused:
            return True
    return False


def status(url: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manage(url, "status", "--json").stdout)
    return found


def manage(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**environment(), "BROKER_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
