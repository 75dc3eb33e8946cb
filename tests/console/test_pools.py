"""Queues and pools in the admin: what runs, and each act with its reason, its permission and its entry in the log."""

import json
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from kombu import Connection

from routing.console.page_parts import message_url
from routing.ledger import pauses
from routing.ledger.tables import Process, QueuePause
from tests.console import specimens
from tests.console.conftest import Serve

pytestmark = pytest.mark.django_db(transaction=True)

POOLS = "/admin/pools/"
PAUSE, RESUME = (f"{POOLS}queue/reporting/{verb}/" for verb in ("pause", "resume"))


@pytest.fixture
def operator(client: Client) -> Client:
    user = User.objects.create(username="ann", is_staff=True)
    for name in ("view_taskresult", "change_queuepause"):
        user.user_permissions.add(Permission.objects.get(codename=name))
    client.force_login(user)
    return client


def words(client: Client, url: str = POOLS) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def a_worker(*queues: str) -> Process:
    name = f"{queues[0]}@app-1"
    return Process.objects.create(
        role=Process.Role.WORKER, name=name, host="app-1", pid=977, version="0.1.0", queues=json.dumps(queues)
    )


def deeds() -> list[str]:
    return [f"{entry.object_repr}: {entry.get_change_message()}" for entry in LogEntry.objects.order_by("pk")]


@pytest.mark.broker
def test_each_queue_has_its_workers_and_what_they_run(viewer: Client, serve: Serve) -> None:
    serve()
    specimens.relay(seconds_ago=-60)
    a_worker("notifications.bulk", "notifications")
    running = specimens.in_flight("reporting.weekly", queue="reporting", owner=a_worker("reporting").pk, pid=983)

    text = words(viewer)

    assert "Every queue is served; 2 workers live." in text
    assert text.count("notifications.bulk@app-1") == 2, "under both of its queues"
    assert "reporting.weekly for" in text
    assert "in process 983" in text
    assert message_url(running.pk) in viewer.get(POOLS).content.decode()
    assert "No worker of it lives. Start one: manage.py pool maintenance" in text


def test_without_broker_and_workers_it_says_so(viewer: Client, absent_broker: int) -> None:
    text = words(viewer)

    assert "RabbitMQ cannot be reached" in text
    assert "No worker of it lives. Start one: manage.py pool reporting" in text


def test_a_queue_is_paused_and_resumed_with_a_reason_and_logged(operator: Client, absent_broker: int) -> None:
    specimens.in_flight("reporting.weekly")

    asked = words(operator, PAUSE)
    assert "Pause reporting?" in asked
    assert not QueuePause.objects.exists(), "to ask changes nothing"
    answer = operator.post(PAUSE, {"reason": " The printer burns. "}, follow=True)

    assert "reporting is paused." in answer.content.decode()
    paused = pauses.in_force().get()
    assert (paused.queue, paused.paused_by, paused.reason) == ("reporting", "ann", "The printer burns.")
    assert "by ann: The printer burns." in words(operator)
    operator.post(RESUME)
    assert not pauses.in_force().exists()
    assert deeds() == ["reporting: Paused: The printer burns.", "reporting: Resumed."]


def test_who_has_not_confirmed_a_pause_is_named(operator: Client, absent_broker: int) -> None:
    worker = a_worker("reporting")
    operator.post(PAUSE, {"reason": "x"})
    assert "These have not confirmed yet that they keep to it: reporting@app-1" in words(operator)

    pauses.confirm(worker.pk, ["reporting"])

    assert "has confirmed that they keep to it" in words(operator)


def test_of_two_who_pause_at_once_one_does(operator: Client, absent_broker: int) -> None:
    pauses.pause("reporting", by="bob", reason="first")

    answer = operator.post(PAUSE, {"reason": "second"}, follow=True)

    assert "Somebody has paused it already" in answer.content.decode()
    assert pauses.in_force().get().reason == "first"
    assert deeds() == []
    operator.post(RESUME)
    assert "It is not paused" in operator.post(RESUME, follow=True).content.decode()
    assert deeds() == ["reporting: Resumed."]


@pytest.mark.any_database
@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "a\0b"])
def test_a_reason_that_is_none_is_refused_and_nothing_done(operator: Client, absent_broker: int, reason: str) -> None:
    answer = operator.post(PAUSE, {"reason": reason})

    assert "The reason must be text of 1 to 1,000 characters" in answer.content.decode()
    assert not QueuePause.objects.exists()


@pytest.mark.any_database
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_queue_that_is_none_is_not_found(operator: Client, absent_broker: int, verb: str) -> None:
    for name in ("nothing", "no\0thing"):
        assert operator.post(f"{POOLS}queue/{name}/{verb}/", {"reason": "x"}).status_code == 404


def test_whoever_may_only_look_is_offered_nothing_and_may_do_nothing(viewer: Client, absent_broker: int) -> None:
    worker = a_worker("reporting")
    pauses.pause("maintenance", by="ann", reason="moving")

    assert "Pause…" not in words(viewer)
    for url in (PAUSE, f"{POOLS}queue/maintenance/resume/", f"{POOLS}worker/{worker.pk}/resize/"):
        assert viewer.get(url).status_code == 403
        assert viewer.post(url, {"reason": "x", "size": "2"}).status_code == 403
    assert list(pauses.names()) == ["maintenance"]


@pytest.mark.any_database
def test_whoever_may_not_see_results_sees_no_queues(stranger: Client, absent_broker: int) -> None:
    for url in (POOLS, f"{POOLS}topology/"):
        assert stranger.get(url).status_code == 403
    assert "Queues and pools" not in stranger.get("/admin/").content.decode()


@pytest.mark.any_database
@pytest.mark.parametrize("size", ["", "0", "-1", "129", "two", "1e2", "٣٠٠"])
def test_a_size_that_is_none_is_refused(operator: Client, absent_broker: int, size: str) -> None:
    url = f"{POOLS}worker/{a_worker('reporting').pk}/resize/"

    assert "from 1 to 128 processes" in operator.post(url, {"size": size}).content.decode()
    assert deeds() == []


@pytest.mark.any_database
def test_without_a_broker_no_pool_is_resized_and_the_cure_is_told(operator: Client, absent_broker: int) -> None:
    url = f"{POOLS}worker/{a_worker('reporting').pk}/resize/"

    assert "RabbitMQ cannot be reached" in operator.get(url).content.decode()


@pytest.mark.any_database
def test_a_worker_that_has_ended_is_not_resized(operator: Client, absent_broker: int) -> None:
    assert "That worker has ended." in operator.post(f"{POOLS}worker/1/resize/", follow=True).content.decode()


@pytest.mark.broker
def test_the_topology_is_compared_with_the_code(viewer: Client, clean_broker: Connection) -> None:
    clean_broker.channel().queue_delete("maintenance.dead")  # type: ignore[attr-defined]

    text = words(viewer, f"{POOLS}topology/")

    assert "queue maintenance.dead : it is missing" in text
    assert "manage.py topology apply" in text


@pytest.mark.any_database
def test_a_topology_that_cannot_be_compared_names_the_cure(viewer: Client, absent_broker: int) -> None:
    assert "RabbitMQ cannot be reached" in words(viewer, f"{POOLS}topology/")
