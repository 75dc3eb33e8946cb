"""RabbitMQ that asks who we are: with our certificate a task goes all the way; without, each process tells the cure."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django_celery_results.models import TaskResult
from pytest_django import Settings

from project.services.errors import ServiceError
from routing.broker import tls
from routing.broker.inspection import BrokerUnavailable, answering
from tests import probe as typed_probe
from tests import services
from tests.certificates import Authority, Signed
from tests.private_broker import Broker
from tests.tls_node import ADDRESS, AskingNode
from tests.waiting import until
from tests.workers import ROOT, StartRelay, StartWorker, environment

probe: Any = typed_probe
"""Celery's stubs know none of our options."""
NAME = "worker-one"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "ours")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Signed:
    return authority.sign_client(NAME)


@pytest.fixture(scope="module")
def node(authority: Authority) -> Iterator[AskingNode]:
    node = AskingNode(
        folder=services.FOLDER / "rabbitmq-asking",
        port=services.free_node_port(),
        name=f"taskyard-asking-{os.getpid()}",
        tls_port=services.free_port(),
        ca=authority.path,
        signed=authority.sign(ADDRESS),
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
def known(settings: Settings, authority: Authority, ours: Signed) -> Settings:
    settings.TASKYARD_BROKER_CA = str(authority.path)
    show(settings, ours)
    return settings


def show(settings: Settings, signed: Signed) -> None:
    settings.TASKYARD_BROKER_CERTIFICATE, settings.TASKYARD_BROKER_KEY = str(signed.certificate), str(signed.key)


@pytest.mark.broker
@pytest.mark.pipeline
@pytest.mark.one_database
@pytest.mark.django_db(transaction=True)
def test_every_process_shows_our_certificate_and_without_it_tells_the_cure(
    node: AskingNode,
    authority: Authority,
    ours: Signed,
    start_relay: StartRelay,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    nobody = {"BROKER_URL": node.address(), "BROKER_CA": str(authority.path)}
    known = nobody | {"BROKER_CERTIFICATE": str(ours.certificate), "BROKER_KEY": str(ours.key)}
    # First without: what has begun to run would lend its queues and its figures.
    assert_refused(nobody, "topology", "apply")

    assert manage(known, "topology", "apply").returncode == 0
    start_relay(**known)
    start_worker("reporting", relay=False, **known)
    result = probe.report.delay(str(tmp_path / "journal"))

    until(lambda: TaskResult.objects.filter(task_id=result.id, status="SUCCESS").exists(), what="its success")
    shown = node.control("list_connections", "peer_cert_subject", "--quiet", "--no-table-headers").split()
    assert set(shown) == {f"CN={NAME}"}
    assert "RabbitMQ" not in manage(known, "status").stdout
    assert_refused(nobody, "status")


def assert_refused(variables: dict[str, str], *words: str) -> None:
    done = manage(variables, *words)
    assert done.returncode != 0
    told = " ".join((done.stdout + done.stderr).split())
    # "RabbitMQ at … asks who we are"; or "hangs up at", where it did so before its words were read.
    assert f"at {ADDRESS}:" in told
    assert "key: BROKER_CERTIFICATE=/path/to/taskyard.crt and BROKER_KEY=" in told


def manage(variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=environment() | variables, capture_output=True, text=True, check=False)


@pytest.mark.broker
@pytest.mark.any_database
def test_a_certificate_of_an_authority_that_the_broker_does_not_know_is_refused(
    node: AskingNode, known: Settings, tmp_path: Path
) -> None:
    show(known, Authority(tmp_path, "other").sign_client(NAME))

    def told() -> str:
        with pytest.raises(tls.Unusable) as refused:
            tls.Connection(node.address()).transport.establish_connection()
        return str(refused.value)

    # RabbitMQ says why and hangs up at once: whoever is slow to listen may find it gone at one time or another.
    words = "in BROKER_CERTIFICATE is signed by a CA that RabbitMQ does not know."
    until(lambda: words in told(), what="RabbitMQ's reason")


@pytest.mark.broker
@pytest.mark.any_database
def test_a_certificate_that_has_gone_since_the_start_is_told(
    node: AskingNode, known: Settings, ours: Signed, tmp_path: Path
) -> None:
    show(known, replace(ours, certificate=tmp_path / "gone.crt"))

    with pytest.raises(tls.Unusable, match="BROKER_CERTIFICATE or BROKER_KEY names is not there any more"):
        tls.Connection(node.address()).transport.establish_connection()


@pytest.mark.broker
@pytest.mark.any_database
def test_the_users_name_may_come_from_the_certificate(
    node: AskingNode, known: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_READ_URL", node.address().replace("guest:guest@", ""))
    monkeypatch.setitem(current_app.conf, "broker_login_method", "EXTERNAL")

    with pytest.raises(BrokerUnavailable, match="no user by the name in the certificate"), answering(seconds=5):
        pass
    node.control("add_user", NAME, "never-asked-for")
    node.control("set_permissions", NAME, "^$", "^$", ".*")
    with answering(seconds=5):
        users = node.control("list_connections", "user", "--quiet", "--no-table-headers").split()

    assert users == [NAME]
