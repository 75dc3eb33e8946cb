"""What happens to a task whose outcome cannot be stored, because PostgreSQL is away."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection
from kombu import Connection

from project import celery_app
from routing.broker import topology
from routing.ledger import audit
from routing.ledger.tables import DeadLetter, Message
from tests import probe as typed_probe
from tests.services import Postgresql
from tests.waiting import until
from tests.workers import Process

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]


def test_an_outcome_waits_for_the_database(
    start_worker: Callable[..., Process], database_server: Postgresql | None, tmp_path: Path
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    worker = start_worker("reporting")
    release = tmp_path / "release"
    result = probe.wait_for_file.delay(str(tmp_path / "journal"), str(release))
    until(lambda: result.state == "STARTED", what="the run")

    database_server.stop()
    connection.close()
    release.touch()
    until(lambda: worker.says("The database cannot be used"), what="the worker to notice")
    database_server.start()

    until(lambda: result.state == "SUCCESS", what="the outcome")
    assert result.get() == 1


def test_who_waits_for_the_database_is_alive_to_its_supervisor(
    start_worker: Callable[..., Process], database_server: Postgresql | None
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    worker = start_worker("reporting")
    database_server.stop()
    connection.close()
    (sign,) = (settings.VAR / "alive").glob(f"worker.*.{worker.popen.pid}")
    os.utime(sign, (0, 0))

    # A restart would end what it runs, and reach the database no better.
    until(lambda: sign.stat().st_mtime, what="a sign of life")

    database_server.start()


def test_a_claim_that_waits_for_the_database_beyond_the_time_limits_is_not_the_tasks_failure(
    start_worker: Callable[..., Process],
    clean_broker: Connection,
    database_server: Postgresql | None,
    tmp_path: Path,
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    worker = start_worker("reporting")
    database_server.stop()
    connection.close()

    # From a program that knows nothing of the ledger: the relay publishes nothing just now.
    clean_broker.Producer().publish(
        [[str(tmp_path / "journal")], {}, {}],
        exchange=topology.TASKS,
        routing_key="reporting",
        serializer="json",
        headers={"id": "foreign", "task": "reporting.probe_hurry", "lang": "py"},
    )
    until(lambda: worker.says("is given back"), what="its hard time limit")
    database_server.start()

    until(lambda: celery_app.AsyncResult("foreign").state == "SUCCESS", what="the outcome")
    assert celery_app.AsyncResult("foreign").get() == 1
    assert audit.audit().balances


def test_a_settlement_that_waits_for_the_database_beyond_the_time_limits_is_not_the_tasks_failure(
    start_worker: Callable[..., Process], database_server: Postgresql | None, tmp_path: Path
) -> None:
    """Its body ended in time. Nothing of that could be recorded, so that it runs again."""
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    worker, release = start_worker("reporting"), tmp_path / "release"
    result = probe.outlast.delay(str(tmp_path / "journal"), str(release))
    until((tmp_path / "journal").exists, what="the run")

    database_server.stop()
    connection.close()
    release.touch()
    until(lambda: worker.says("is given back"), what="its hard time limit")
    database_server.start()

    until(lambda: result.state == "SUCCESS", what="the outcome")
    assert result.get() == 2
    assert not DeadLetter.objects.exists()


def test_what_a_body_writes_down_beyond_the_time_limits_is_not_the_tasks_failure(
    start_worker: Callable[..., Process], tmp_path: Path
) -> None:
    """It says that it only waits for the database now. Nothing tells whether it came to that, so that it runs again."""
    worker, release = start_worker("reporting"), tmp_path / "release"
    result = probe.record.delay(str(tmp_path / "journal"), str(release))

    until(lambda: worker.says("is given back"), what="its hard time limit")
    release.touch()

    until(lambda: result.state == "SUCCESS", what="the outcome")
    assert result.get() == 2
    assert not DeadLetter.objects.exists()


def test_a_connection_that_is_cut_costs_neither_outcome_nor_effect(
    start_worker: Callable[..., Process], database_server: Postgresql | None, tmp_path: Path
) -> None:
    """Before the outcome is stored, and inside the transaction of an atomic task, which is then run again."""
    if database_server is None:
        pytest.skip("SQLite has no connections to cut")
    start_worker("reporting")

    plain = probe.cut_its_connection.delay(str(tmp_path / "plain"))
    atomic = probe.cut_its_connection_atomically.delay(str(tmp_path / "atomic"))

    until(lambda: {plain.state, atomic.state} == {"SUCCESS"}, what="both outcomes")
    assert (plain.get(), atomic.get()) == (1, 2)
    assert Group.objects.count() == 1


@pytest.mark.parametrize("window", ["claim.committed", "run.ended", "run.uncommitted", "run.rescheduling"])
def test_a_connection_that_is_cut_between_two_statements_costs_neither_outcome_nor_effect(
    start_worker: Callable[..., Process], database_server: Postgresql | None, tmp_path: Path, window: str
) -> None:
    """At the claim, at the settlement, at the COMMIT of an atomic task, and at the rescheduling."""
    if database_server is None:
        pytest.skip("SQLite has no connections to cut")
    flag = tmp_path / "cut"
    variables = {"TASKYARD_FAULT_CALL": "tests.probe.cut_the_connection", "TASKYARD_FAULT_FLAG": str(flag)}
    start_worker("reporting", fault=window, **variables)

    atomic = probe.take_effect.apply_async((str(tmp_path / "atomic"), "once"), link=probe.total.si([5]))
    retried = probe.succeed_at_third_run.delay(str(tmp_path / "retried"))

    until(lambda: {atomic.state, retried.state} == {"SUCCESS"}, what="both outcomes")
    assert flag.exists()
    assert Group.objects.count() == 1
    until(lambda: not Message.objects.exists(), what="what follows")
    assert audit.audit().balances


def test_claims_survive_idle_connections_that_are_cut(
    start_worker: Callable[..., Process], database_server: Postgresql | None, tmp_path: Path
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no connections to cut")
    worker = start_worker("reporting")
    first = probe.add.delay(1, 1)
    until(lambda: first.state == "SUCCESS", what="the first outcome")

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    second = probe.add.delay(1, 2)

    until(lambda: second.state == "SUCCESS", what="the second outcome")
    assert not worker.is_dead


def test_a_database_that_is_read_only_for_a_while_costs_neither_outcome_nor_run(
    start_worker: Callable[..., Process], database_server: Postgresql | None, tmp_path: Path
) -> None:
    """As during a failover, while the old server takes no writes and the new one not yet."""
    if database_server is None:
        pytest.skip("SQLite has no server that could fail over")
    worker, release = start_worker("reporting"), tmp_path / "release"
    running = probe.wait_for_file.delay(str(tmp_path / "journal"), str(release))
    until(lambda: running.state == "STARTED", what="the run")

    with read_only_database():
        release.touch()
        until(lambda: worker.says("read-only transaction"), what="the worker to notice")
    waiting = probe.add.delay(1, 2)

    until(lambda: {running.state, waiting.state} == {"SUCCESS"}, what="both outcomes")
    assert running.get() == 1
    assert audit.audit().balances


@contextmanager
def read_only_database() -> Iterator[None]:
    name = connection.ops.quote_name(str(connection.settings_dict["NAME"]))
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        cursor.execute(others)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            cursor.execute(others)
