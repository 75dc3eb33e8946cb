"""The whole pipeline behind PgBouncer in transaction mode, as Debian has it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django_celery_results.models import TaskResult

from project.services.errors import ServiceError
from routing import budget
from routing.ledger import database, pooler, wake
from routing.ledger.audit import audit
from routing.ledger.tables import Message
from tests import probe as typed_probe
from tests import services
from tests.private_pgbouncer import PgBouncer
from tests.services import Postgresql
from tests.waiting import until
from tests.workers import ROOT, StartRelay, StartWorker, environment

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.broker, pytest.mark.django_db(transaction=True)]

Start = Callable[..., PgBouncer]


@pytest.fixture
def start_bouncer(database_server: Postgresql | None, tmp_path: Path) -> Iterator[Start]:
    if database_server is None:
        pytest.skip("SQLite needs no pooler")
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)
    started: list[PgBouncer] = []

    def start(**options: Any) -> PgBouncer:
        folder = tmp_path / f"pgbouncer.{len(started)}"
        started.append(PgBouncer(folder, services.free_port(), server_port=database_server.port, **options))
        try:
            started[-1].start()
        except ServiceError as error:
            services.missing(str(error))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def bouncer(start_bouncer: Start) -> PgBouncer:
    # Fewer sessions than clients, so that each transaction runs in whichever is free.
    return start_bouncer(default_pool_size=6)


def through(one: PgBouncer, **more: str) -> dict[str, str]:
    return {"DATABASE_URL": f"postgresql://taskyard@127.0.0.1:{one.port}/{connection.settings_dict['NAME']}", **more}


def direct() -> str:
    return environment()["DATABASE_URL"]


@pytest.fixture
def caller(bouncer: PgBouncer) -> Iterator[None]:
    """Have this process, which enqueues and looks, go through it as well."""
    connection.close()
    before = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = bouncer.port
    yield
    connection.close()
    connection.settings_dict["PORT"] = before


def test_tasks_of_every_kind_run_behind_it(
    bouncer: PgBouncer, caller: None, start_relay: StartRelay, start_worker: StartWorker, tmp_path: Path
) -> None:
    relay = start_relay(**through(bouncer))
    start_worker("reporting", "--concurrency=2", relay=False, **through(bouncer))
    journal = str(tmp_path / "journal")

    many = probe.add.enqueue_many([(number, 1) for number in range(200)])
    effect = probe.take_effect.delay(journal, "once")
    retried = probe.take_effect_at_third_run.delay("third")
    failed = probe.fail_for_good.delay()
    delayed = probe.add.apply_async((1, 1), countdown=0.5)
    unique = [probe.rebuild.delay("key").id for _ in range(2)]

    until(lambda: not Message.objects.exists(), seconds=60, what="all outcomes")
    assert {task.state for task in [*many, effect, retried, delayed]} == {"SUCCESS"}
    assert failed.state == "FAILURE"
    assert unique[0] == unique[1]
    assert sorted(Group.objects.values_list("name", flat=True)) == ["once", "third 2"]
    assert audit().balances
    relay.until_it_says("behind a pooler")


def test_it_may_be_restarted_under_load(
    bouncer: PgBouncer, start_relay: StartRelay, start_worker: StartWorker, tmp_path: Path
) -> None:
    relay = start_relay(**through(bouncer))
    worker = start_worker("reporting", "--concurrency=2", relay=False, **through(bouncer))

    expected = 0
    for round_ in range(4):
        names = [f"{round_}.{number}" for number in range(15)]
        sent = [probe.take_effect.delay(str(tmp_path / "journal"), name) for name in names]
        expected += len(sent)
        _await_effects(expected - 10)
        bouncer.kill()
        bouncer.start()

    until(lambda: not Message.objects.exists(), seconds=90, what="all outcomes")
    assert Group.objects.count() == expected
    # Each leaves a further task behind.
    assert set(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS"}
    assert TaskResult.objects.count() == 2 * expected
    assert audit().balances
    assert not worker.is_dead
    assert not relay.is_dead


def _await_effects(count: int) -> None:
    until(lambda: Group.objects.count() >= count, seconds=60, what=f"{count} effects")


def test_a_relay_that_knows_the_way_to_the_server_is_woken(bouncer: PgBouncer, start_relay: StartRelay) -> None:
    relay = start_relay(**through(bouncer, DATABASE_DIRECT_URL=direct()))

    listens = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%taskyard_outbox%%' AND pid <> pg_backend_pid()"
    until(lambda: database.rows(listens), what="the ear of the relay")
    assert not relay.says("behind a pooler")


def test_a_pooler_is_recognised(caller: None, bouncer: PgBouncer) -> None:
    assert pooler.stands_between(database.connection())
    assert pooler.figures(database.connection()) == pooler.Figures(mode="transaction", clients=400, sessions=6)


def test_the_server_itself_is_no_pooler(database_server: Postgresql | None) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server")
    assert not pooler.stands_between(database.connection())
    assert pooler.figures(database.connection()) is None


def test_a_wake_goes_through_it(caller: None, database_server: Postgresql | None) -> None:
    with psycopg.connect(direct(), autocommit=True) as ear:
        ear.execute(f"LISTEN {wake.CHANNEL}")
        wake._notified_at = float("-inf")

        wake.wake()

        assert list(ear.notifies(timeout=10, stop_after=1))


# --- The budget -------------------------------------------------------------------------------------------------------


def check(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--database", "default", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_the_declared_processes_open_fits_the_server(database_server: Postgresql | None) -> None:
    assert check().returncode == 0

    many = check(TASKYARD_REPLICAS="reporting=20 web=3", WEB_CONCURRENCY="4")

    if database_server is None:
        assert many.returncode == 0
        return
    assert many.returncode == 1
    assert "(routing.W030)" in many.stderr
    assert "but the server has room for 97" in many.stderr
    assert "120 of web, 80 of reporting" in many.stderr


def test_a_limit_of_the_user_counts(database_server: Postgresql | None) -> None:
    if database_server is None:
        pytest.skip("SQLite has no users")
    database.execute("ALTER ROLE taskyard CONNECTION LIMIT 30")
    try:
        assert "has room for 30" in check().stderr
    finally:
        database.execute("ALTER ROLE taskyard CONNECTION LIMIT -1")


def test_replicas_of_what_does_not_exist_are_an_error(database_server: Postgresql | None) -> None:
    if database_server is not None:
        assert "(routing.E030)" in check(TASKYARD_REPLICAS="reports=2").stderr
    assert "use names and whole numbers" in check(TASKYARD_REPLICAS="reporting").stderr


def test_the_poolers_own_limits_are_compared(start_bouncer: Start) -> None:
    small = start_bouncer(max_client_conn=30, default_pool_size=3)
    found = check(**through(small, DATABASE_DIRECT_URL=direct())).stderr

    assert "PgBouncer lets in 30" in found
    assert "(routing.W032)" in found
    assert "PgBouncer's pool has 3 connections" in found
    assert "routing.W031" in check(**through(small)).stderr
    statement = start_bouncer(mode="statement")
    assert "(routing.E031)" in check(**through(statement)).stderr


def test_the_sum_is_no_less_than_what_is_opened(start_relay: StartRelay, start_worker: StartWorker) -> None:
    if not database.on_postgresql():
        pytest.skip("SQLite counts no connections")
    start_worker("reporting")
    for _ in range(5):
        probe.add.delay(1, 1)
    until(lambda: not Message.objects.exists(), what="the outcomes")

    opened = database.rows("SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()")[0]["n"]

    declared = {share.name: share.connections for share in budget.shares()}
    # This process has one, too.
    assert 4 < opened - 1 <= declared["reporting"] + declared["relay"]
