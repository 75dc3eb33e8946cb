"""Two installations on one broker, each behind a namespace; and a broker user who may declare nothing."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kombu import Connection

from project import celery_app
from project.services.rabbitmq import Node
from routing.broker import evidence, topology
from routing.domains import registry
from routing.ledger import queues
from routing.ledger.tables import BrokerMarker, Message
from routing.worker import pools
from tests import probe as typed_probe
from tests.services import Postgresql
from tests.waiting import until
from tests.workers import ROOT, Process, StartRelay, StartWorker, environment

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.broker, pytest.mark.pipeline, pytest.mark.one_database]

SEND = """
import json, sys
import django
from project import celery_app
django.setup()
celery_app.loader.import_task_module("tests.probe")
from django.conf import settings
handles = [celery_app.send_task("reporting.probe", (sys.argv[1],)) for _ in range(5)]
handles.append(celery_app.send_task("notifications.probe", (sys.argv[1],), queue="notifications"))
print(json.dumps([handle.id for handle in handles]))
"""
PING = """
import django, project
django.setup()
print(len(project.celery_app.control.inspect(timeout=5).ping()))
"""


class Installation:
    """One with a database of its own, on the suite's broker."""

    def __init__(self, namespace: str, folder: Path, database_url: str) -> None:
        self.namespace = namespace
        self.folder = folder
        self.url = database_url
        self.variables = {"TASKYARD_NAMESPACE": namespace, "DATABASE_URL": database_url, "TASKYARD_VAR": str(folder)}
        self.processes: list[Process] = []

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env={**environment(), **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, statement: str, values: Sequence[str] = ()) -> list[Any]:
        """From its database: to ask a process of its own each time would take most of the test."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=30)) as connection:
                return connection.execute(statement.replace("%s", "?"), values).fetchall()
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def start(self, name: str, *command: str) -> Process:
        process = Process([sys.executable, *command], self.folder / f"{name}.log", **self.variables)
        self.processes.append(process)
        return process

    def start_all(self) -> None:
        self.run("manage.py", "migrate", "--verbosity=0")
        self.run("manage.py", "topology", "apply")
        self.start("relay", "manage.py", "relay")
        queues = ("-Q", "reporting,notifications", "--include=tests.probe", "--concurrency=1")
        worker = self.start("worker", "-m", "celery", "-A", "project", "worker", "--loglevel=INFO", *queues)
        worker.until_it_says(" ready.")


@pytest.fixture(scope="module")
def installations(
    broker_url: str, tmp_path_factory: pytest.TempPathFactory, database_server: Postgresql | None
) -> Iterator[list[Installation]]:
    """Both of them at work."""
    made = [_made(name, tmp_path_factory.mktemp(name), database_server) for name in ("staging", "live")]
    try:
        for one in made:
            one.start_all()
        yield made
    finally:
        for process in [process for one in made for process in one.processes]:
            process.kill()


def _made(namespace: str, folder: Path, database_server: Postgresql | None) -> Installation:
    if database_server is None:
        return Installation(namespace, folder, f"sqlite:///{folder / 'taskyard.sqlite3'}")
    server = f"postgresql://taskyard@127.0.0.1:{database_server.port}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {namespace} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {namespace}")
    return Installation(namespace, folder, f"{server}/{namespace}")


def test_two_installations_share_a_broker(
    installations: list[Installation], broker_node: Node | None, tmp_path: Path
) -> None:
    sent = {
        one.namespace: json.loads(one.run("-c", SEND, str(tmp_path / f"{one.namespace}.journal")))
        for one in installations
    }

    for one in installations:
        rows = until(partial(_results, one, sent[one.namespace]), what="all outcomes")
        assert {status for _, status, _ in rows} == {"SUCCESS"}
        assert {queue for _, _, queue in rows} == {"reporting", "notifications"}
        journal = (tmp_path / f"{one.namespace}.journal").read_text().splitlines()
        assert len(journal) == 6
        assert "reporting" in one.run("manage.py", "pool", "--list")
        assert json.loads(one.run("manage.py", "topology", "plan", "--json"))["steps"] == []
        assert json.loads(one.run("-c", PING)) == 1
    if broker_node is not None:
        names = broker_node.control("list_queues", "name", "--quiet").split()
        assert {"staging:reporting", "live:reporting", "staging:reporting.dead"} <= set(names)


def test_pauses_and_dead_letters_are_those_of_one_installation(
    installations: list[Installation], clean_broker: Connection, tmp_path: Path
) -> None:
    staging, live = installations

    staging.run("manage.py", "queues", "pause", "reporting", "--reason", "a test")
    journal = tmp_path / "journal"
    sent = {
        one.namespace: json.loads(one.run("-c", SEND, str(journal.with_suffix(f".{one.namespace}"))))
        for one in installations
    }
    until(partial(_results, live, sent["live"]), what="all outcomes of the other one")
    until(partial(_results, staging, sent["staging"][-1:]), what="the outcome in the other queue")
    assert journal.with_suffix(".staging").read_text().split() == ["notifications.probe"]
    staging.run("manage.py", "queues", "resume", "reporting")
    until(partial(_results, staging, sent["staging"]), what="all outcomes")

    for key in ("reporting", "nowhere"):
        clean_broker.Producer().publish("{", exchange="staging:taskyard", routing_key=key, content_type="text/x")
    until(lambda: len(staging.rows("SELECT id FROM routing_deadletter")) == 2, what="both dead letters")
    letters = _letters(staging)
    assert sorted((one["queue"], one["reason"]) for one in letters) == [
        ("nowhere", "misrouted"),
        ("reporting", "refused"),
    ]
    assert _letters(live) == []


def _letters(one: Installation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(one.run("manage.py", "dead_letters", "list", "--json"))["dead_letters"]
    return found


def _results(one: Installation, ids: list[str]) -> list[tuple[str, str, str]]:
    """Once there are all."""
    places = ", ".join(["%s"] * len(ids))
    statement = f"SELECT task_id, status, meta FROM django_celery_results_taskresult WHERE task_id IN ({places})"  # noqa: S608  (no input)
    rows = [(task_id, status, json.loads(meta)["queue"]) for task_id, status, meta in one.rows(statement, ids)]
    return rows if len(rows) == len(ids) else []


# --- A user who may declare nothing -----------------------------------------------------------------------------------


@pytest.fixture
def runner(transactional_db: None, broker_node: Node | None, clean_broker: Connection) -> Iterator[str]:
    """The URL of a broker user without configure rights, as docs/topology.md has them, after an apply by another."""
    if broker_node is None:
        pytest.skip("BROKER_URL names a broker whose users are not ours to make")
    BrokerMarker.objects.get_or_create(pk=1, defaults={"marker": "tests"})
    evidence.examine(clean_broker, registry())
    broker_node.control("add_user", "runner", "secret")
    broker_node.control("set_permissions", *_documented_rights()[0])
    yield os.environ["BROKER_URL"].replace("guest:guest", "runner:secret")
    broker_node.control("delete_user", "runner")


def _documented_rights() -> list[list[str]]:
    """The user and the three patterns of each line for it: first without remote control, then with it."""
    text = (ROOT / "docs" / "topology.md").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("rabbitmqctl set_permissions -p / runner ")]
    return [shlex.split(line)[4:] for line in lines]


def test_all_but_apply_runs_without_configure_rights(
    runner: str, start_relay: StartRelay, start_worker: StartWorker, tmp_path: Path
) -> None:
    rights = {"BROKER_URL": runner, "TASKYARD_REMOTE_CONTROL": "0"}
    relay = start_relay(**rights)
    worker = start_worker("reporting", relay=False, **rights)

    result = probe.report.delay(str(tmp_path / "journal"))

    until(lambda: result.state == "SUCCESS", what="the outcome")
    assert not worker.says("ACCESS_REFUSED")
    assert not relay.says("Nothing is published")
    plan = _manage(runner, "topology", "plan")
    assert "RabbitMQ's user runner may declare nothing" in plan.stdout
    apply = _manage(runner, "topology", "apply")
    assert apply.returncode == 1
    assert "Run it with the BROKER_URL of a user who may." in apply.stderr


def test_what_is_missing_is_named_with_the_cure_and_the_others_go_on(
    runner: str,
    start_relay: StartRelay,
    start_worker: StartWorker,
    clean_broker: Connection,
    tmp_path: Path,
) -> None:
    clean_broker.default_channel.queue_delete("notifications.bulk")  # type: ignore[attr-defined]
    rights = {"BROKER_URL": runner, "TASKYARD_REMOTE_CONTROL": "0"}
    relay = start_relay(**rights)
    start_worker("reporting", relay=False, **rights)
    waiting = probe.notify.apply_async((str(tmp_path / "bulk"),), queue="notifications.bulk")

    result = probe.report.delay(str(tmp_path / "journal"))

    until(lambda: result.state == "SUCCESS", what="the outcome")
    relay.until_it_says("notifications.bulk is missing on RabbitMQ, and its user runner may declare nothing")
    assert "BROKER_URL of a user who may" in _manage(runner, "topology", "apply").stderr
    assert _manage("", "topology", "apply").returncode == 0
    until(lambda: _ready(clean_broker, "notifications.bulk") == 1, what="the task in its queue")
    assert Message.objects.get().pk == waiting.id
    assert queues.known() >= {"notifications.bulk"}


def test_without_the_marker_nothing_is_published_and_the_cure_is_told(
    runner: str, start_relay: StartRelay, clean_broker: Connection, tmp_path: Path
) -> None:
    BrokerMarker.objects.update(marker="another")
    relay = start_relay(BROKER_URL=runner)
    waiting = probe.report.delay(str(tmp_path / "journal"))

    relay.until_it_says("the broker's marker is missing on RabbitMQ, and its user runner may declare nothing")
    assert _manage("", "topology", "apply").returncode == 0

    until(lambda: _ready(clean_broker, "reporting") == 1, what="the task in its queue")
    assert Message.objects.get().pk == waiting.id


def test_remote_control_that_is_refused_is_named_with_the_cure(
    runner: str, start_relay: StartRelay, tmp_path: Path
) -> None:
    start_relay()
    command = pools.command(pools.get("reporting"))
    worker = Process(command, tmp_path / "refused.log", BROKER_URL=runner)
    try:
        worker.until_it_says("TASKYARD_REMOTE_CONTROL=0")
    finally:
        worker.kill()


def test_remote_control_works_with_the_rights_for_it(
    runner: str, broker_node: Node, start_worker: StartWorker, clean_broker: Connection
) -> None:
    broker_node.control("set_permissions", *_documented_rights()[1])

    start_worker("reporting", BROKER_URL=runner)

    with Connection(runner) as connection:
        replies = celery_app.control.inspect(timeout=5, connection=connection).ping()
    assert [reply for node, reply in (replies or {}).items() if node.startswith("reporting@")] == [{"ok": "pong"}]


def _ready(connection: Connection, queue: str) -> int:
    return topology.message_count(connection, queue) or 0


def _manage(broker_url: str, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {"BROKER_URL": broker_url} if broker_url else {}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
