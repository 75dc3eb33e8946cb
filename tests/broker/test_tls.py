"""TLS to RabbitMQ and PostgreSQL: a task goes all the way, and a server that cannot show who it is gets no word."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import amqp
import psycopg
import pytest
from celery import current_app
from django.db import connection
from django_celery_results.models import TaskResult
from pytest_django import Settings

from project.services.errors import ServiceError
from routing.broker import acks, tls
from routing.broker.inspection import BrokerUnavailable, answering, cure
from routing.ledger import encryption
from tests import probe as typed_probe
from tests import services
from tests.certificates import Authority, Signed
from tests.private_broker import Broker
from tests.private_postgresql import Postgresql
from tests.tls_node import ADDRESS, TlsNode
from tests.waiting import until
from tests.workers import ROOT, StartRelay, StartWorker, environment

probe: Any = typed_probe
"""Celery's stubs know none of our options."""


@dataclass(frozen=True)
class Authorities:
    """Ours signs; of the other nobody has heard."""

    ours: Authority
    other: Authority
    signed: Signed


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    folder = tmp_path_factory.mktemp("certificates")
    ours = Authority(folder, "ours")
    return Authorities(ours, Authority(folder, "other"), ours.sign(ADDRESS))


@pytest.fixture(scope="module")
def node(authorities: Authorities) -> Iterator[TlsNode]:
    node = TlsNode(
        folder=services.FOLDER / "rabbitmq-tls",
        port=services.free_node_port(),
        name=f"taskyard-tls-{os.getpid()}",
        tls_port=services.free_port(),
        ca=authorities.ours.path,
        signed=authorities.signed,
    )
    broker = Broker(node)
    try:
        broker.start()
        yield node
    except ServiceError as error:
        services.missing(str(error))
    finally:
        broker.stop()


@pytest.fixture
def trusting(settings: Settings, authorities: Authorities) -> Settings:
    settings.TASKYARD_BROKER_CA = str(authorities.ours.path)
    return settings


@pytest.fixture
def encrypted(database_server: Postgresql | None, authorities: Authorities) -> Iterator[str]:
    """The suite's PostgreSQL speaks TLS until the test ends. Its address."""
    if database_server is None:
        pytest.skip("SQLite is not asked over a wire")
    for source in (authorities.signed.certificate, authorities.signed.key):
        copy = Path(shutil.copy(source, database_server.data))
        if os.geteuid() == 0:
            shutil.chown(copy, "postgres")
        copy.chmod(0o600)
    server = f"postgresql://taskyard@{ADDRESS}:{database_server.port}/postgres"
    _set_ssl(server, "SET ssl = on")
    yield server
    _set_ssl(server, "RESET ssl")


def _set_ssl(server: str, change: str) -> None:
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(f"ALTER SYSTEM {change}")
        session.execute("SELECT pg_reload_conf()")
    wanted = change.endswith("on")
    until(lambda: _speaks_tls(server) is wanted, what=f"PostgreSQL after {change}")


def _speaks_tls(server: str) -> bool:
    with psycopg.connect(server) as session:
        return bool(session.pgconn.ssl_in_use)


def checking(server: str, ca: Path) -> str:
    return f"{server}?sslmode=verify-full&sslrootcert={ca}"


@pytest.mark.broker
@pytest.mark.pipeline
@pytest.mark.one_database
@pytest.mark.django_db(transaction=True)
def test_a_task_goes_all_the_way_and_nobody_trusts_another_ca(
    node: TlsNode,
    encrypted: str,
    authorities: Authorities,
    start_relay: StartRelay,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    ours = checking(environment()["DATABASE_URL"], authorities.ours.path)
    secured = {"BROKER_URL": node.address(), "BROKER_CA": str(authorities.ours.path), "DATABASE_URL": ours}
    start_relay(**secured)
    start_worker("reporting", relay=False, **secured)

    result = probe.report.delay(str(tmp_path / "journal"))

    row = until(lambda: TaskResult.objects.filter(task_id=result.id, status="SUCCESS").first(), what="its success")
    assert row.result == "1"
    assert sessions_of_others() == {True}
    assert set(node.control("list_connections", "ssl", "--quiet", "--no-table-headers").split()) == {"true"}

    other = authorities.other.path
    theirs = {"BROKER_CA": str(other), "DATABASE_URL": checking(environment()["DATABASE_URL"], other)}
    status, said = status_with(secured | theirs)
    assert status == 2
    assert "is not signed by the CA in BROKER_CA. Name the file of the CA that did." in said
    assert "PostgreSQL's certificate has expired, or is not signed by the CA that DATABASE_URL names." in said


def sessions_of_others() -> set[bool]:
    """Whether they are encrypted: those of relay and worker. This process has been connected since before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)"
            " WHERE a.datname = current_database() AND pid <> pg_backend_pid() AND a.backend_type = 'client backend'"
        )
        return {row[0] for row in cursor.fetchall()}


def status_with(variables: dict[str, str]) -> tuple[int, str]:
    command = [sys.executable, "manage.py", "status"]
    done = subprocess.run(command, cwd=ROOT, env=environment() | variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.broker
@pytest.mark.any_database
def test_a_connection_over_tls_acks_as_the_others_do(node: TlsNode, trusting: Settings) -> None:
    with tls.Connection(node.address()) as connection:
        assert isinstance(connection.default_channel, acks.Channel)


@pytest.mark.broker
@pytest.mark.any_database
def test_each_node_of_a_cluster_is_checked_by_its_own_name(node: TlsNode, trusting: Settings) -> None:
    absent = f"amqps://guest:guest@localhost:{services.free_port()}//"

    with tls.Connection(f"{absent};{node.address()}") as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, reraise_as_library_errors=False)

        assert connection.connection.transport.sock.server_hostname == ADDRESS


@pytest.mark.broker
@pytest.mark.any_database
def test_a_certificate_for_another_name_is_refused_each_time(node: TlsNode, trusting: Settings) -> None:
    connection = tls.Connection(node.address("localhost"))

    for _ in range(2):
        with pytest.raises(
            tls.Unusable, match=r"localhost:.* is for another host name. Put a name that it is for into"
        ):
            connection.transport.establish_connection()


@pytest.mark.broker
@pytest.mark.any_database
def test_what_nobody_we_trust_has_signed_is_refused(node: TlsNode, settings: Settings) -> None:
    settings.TASKYARD_BROKER_CA = None

    with pytest.raises(tls.Unusable, match=r"by no CA that this system trusts. .* BROKER_CA=/path/to/ca.pem"):
        tls.Connection(node.address()).transport.establish_connection()


@pytest.mark.broker
@pytest.mark.any_database
def test_the_wrong_port_is_told(node: TlsNode, trusting: Settings) -> None:
    plain, encrypted = node.url, node.address()

    with pytest.raises(tls.Unusable, match=f"speaks no TLS at {ADDRESS}:{node.port}. Name its port for TLS"):
        tls.Connection(plain.replace("amqp:", "amqps:")).transport.establish_connection()
    with pytest.raises(tls.Unusable, match=f"hangs up at {ADDRESS}:{node.tls_port} .* begin BROKER_URL with amqps://"):
        tls.Connection(encrypted.replace("amqps:", "amqp:")).transport.establish_connection()


@pytest.mark.broker
@pytest.mark.any_database
def test_a_login_by_certificate_that_the_broker_does_not_know_is_told(
    node: TlsNode, trusting: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_READ_URL", node.address().replace("guest:guest@", ""))
    monkeypatch.setitem(current_app.conf, "broker_login_method", "EXTERNAL")

    with pytest.raises(BrokerUnavailable, match="Enable its plugin rabbitmq_auth_mechanism_ssl"), answering(seconds=5):
        pass


@pytest.mark.any_database
def test_a_login_by_password_that_the_broker_does_not_know_is_told() -> None:
    """In py-amqp's words of a RabbitMQ whose auth_mechanisms are EXTERNAL alone."""
    error = amqp.ConnectionError("Couldn't find appropriate auth mechanism (can offer: PLAIN; available: EXTERNAL)")

    told = str(cure(error, tls.Connection("amqps://me:hush@rabbit1:5671//")))

    assert told.startswith("RabbitMQ takes no login by user and password at rabbit1:5671. Set BROKER_LOGIN=certificate")
    assert "hush" not in told


@pytest.mark.one_database
@pytest.mark.django_db(transaction=True)
def test_what_libpq_says_of_certificates_is_told_with_its_cure(encrypted: str, authorities: Authorities) -> None:
    ours = checking(encrypted, authorities.ours.path)

    assert cure_of(ours) is None
    assert "is not signed by the CA" in str(cure_of(checking(encrypted, authorities.other.path)))
    assert "is for another host name" in str(cure_of(ours.replace(ADDRESS, "localhost")))
    assert "names no CA that can be read" in str(cure_of(checking(encrypted, Path("/nowhere/ca.pem"))))


@pytest.mark.one_database
@pytest.mark.django_db(transaction=True)
def test_a_postgresql_without_tls_is_told(database_server: Postgresql | None) -> None:
    if database_server is None:
        pytest.skip("SQLite is not asked over a wire")
    server = f"postgresql://taskyard@{ADDRESS}:{database_server.port}/postgres"

    assert cure_of(f"{server}?sslmode=require") == str(encryption.CURES["does not support SSL"])


def cure_of(address: str) -> str | None:
    """None where it connects."""
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError as error:
        return encryption.cure(error) or f"no cure for {error}"
    return None
