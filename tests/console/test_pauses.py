"""A paused queue, as every page and command names it: as paused, and not as something that is wrong."""

import json
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from kombu import Connection

from routing.ledger import pauses, processes, stuck
from routing.ledger.tables import Message, Outbox, Process, QueuePause
from tests import probe as typed_probe
from tests.console import specimens
from tests.console.conftest import Serve
from tests.console.test_start_page import card, words
from tests.console.test_status import status
from tests.workers import ROOT, environment

probe: Any = typed_probe
pytestmark = pytest.mark.django_db(transaction=True)

OTHERS = ("notifications", "notifications.urgent", "notifications.bulk", "maintenance")


def queues(*arguments: str) -> str:
    output = StringIO()
    call_command("queues", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def paused() -> None:
    pauses.pause("reporting", by="ann", reason="The printer burns.")


@pytest.mark.broker
def test_every_page_names_it_and_calls_nothing_wrong(serve: Serve, viewer: Client, client: Client) -> None:
    serve(*OTHERS)
    specimens.beat()
    specimens.relay()
    paused()

    code, output = status()

    assert code == 0
    assert "reporting has been paused since" in output
    assert "by ann: The printer burns. To go on: manage.py queues resume reporting" in output
    assert "No worker serves" not in output
    assert "All is well" not in output
    ready = client.get("/health/ready")
    assert ready.status_code == 200
    assert "by ann" in ready.json()["checks"]["lane reporting"]["paused"]
    text = words(viewer)
    assert "4 queues served, beat alive, and 1 is paused." in text
    assert "by ann: The printer burns." in text
    assert card(viewer, "reporting").lanes[0].paused


@pytest.mark.broker
def test_all_of_them_paused_is_not_a_pipeline_without_workers(viewer: Client, clean_broker: Connection) -> None:
    specimens.beat()
    specimens.relay()
    for queue in (*OTHERS, "reporting"):
        pauses.pause(queue, by="ann", reason="moving house")

    assert "No worker runs" not in words(viewer)
    assert status()[0] == 0


@pytest.mark.broker
def test_the_list_tells_where_the_tasks_of_each_queue_are(clean_broker: Connection) -> None:
    probe.report.delay("journal")
    out = probe.report.delay("journal")
    Outbox.objects.filter(message_id=out.id).delete()
    running = probe.report.delay("journal")
    Outbox.objects.filter(message_id=running.id).delete()
    Message.objects.filter(pk=running.id).update(owner=1, state="STARTED")
    paused()

    rows = [" ".join(line.replace("│", " ").split()) for line in queues().splitlines()]
    (document,) = [one for one in json.loads(queues("--json"))["queues"] if one["name"] == "reporting"]

    assert any(row.startswith("reporting 1 0 2 0 for ") for row in rows), rows
    assert {name: document[name] for name in ("ledger", "ready", "held", "running", "consumers")} == {
        "ledger": 1,
        "ready": 0,
        "held": 2,
        "running": 1,
        "consumers": 0,
    }
    assert document["paused"]["by"] == "ann"


def test_a_list_without_an_answer_of_the_broker_is_shown_and_no_success(absent_broker: int) -> None:
    output = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("queues", stdout=output)

    assert ended.value.code == 2
    assert "notifications.bulk" in output.getvalue()
    assert f"127.0.0.1:{absent_broker}" in output.getvalue()


def test_a_pause_is_said_once_and_resumed_once() -> None:
    assert "neither a relay nor a worker of it runs just now" in queues(
        "pause", "reporting", "--reason", "first", "--by", "ann"
    )
    assert "by ann: first." in queues("pause", "reporting", "--reason", "second", "--by", "bob")
    assert QueuePause.objects.get().reason == "first"

    assert "reporting goes on" in queues("resume", "reporting", "--by", "bob")
    assert "is not paused, so nothing has changed" in queues("resume", "reporting")
    assert QueuePause.objects.get().resumed_by == "bob"
    queues("pause", "reporting", "--reason", "second", "--by", "bob")
    assert (QueuePause.objects.get().reason, QueuePause.objects.get().resumed_at) == ("second", None)


def test_who_has_not_confirmed_in_time_is_named() -> None:
    old = processes.register(Process.Role.WORKER, "reporting@old", queues=["reporting"])
    new = processes.register(Process.Role.WORKER, "reporting@new", queues=["reporting"])
    processes.register(Process.Role.WORKER, "maintenance@old", queues=["maintenance"])
    pauses.confirm(new, ["reporting"])
    output = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("queues", "pause", "reporting", "--reason", "x", "--wait", "0", stdout=output, stderr=output)

    assert ended.value.code == 3
    assert "reporting is paused, but these have not confirmed it within 0 s, and may still" in output.getvalue()
    assert "reporting@old" in output.getvalue()
    assert "reporting@new" not in output.getvalue()
    assert "maintenance@old" not in output.getvalue()
    processes.leave(old)
    assert "the one process has confirmed it" in queues("pause", "reporting", "--reason", "x", "--wait", "0")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pause", "reportin", "--reason", "x"), "Did you mean 'reporting'?"),
        (("pause", "reporting"), "--reason"),
        (("pause", "reporting", "--reason", " "), "--reason must be text of 1 to 1,000 characters"),
        (("pause", "reporting", "--reason", "x", "--wait", "soon"), "is no time to wait"),
        (("pause", "reporting", "--reason", "x", "--by", "a\0b"), "--by must be text"),
        (("resume", "nowhere"), "There is no queue 'nowhere'"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_cure(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says.replace("?", r"\?")):
        queues(*arguments)
    assert not QueuePause.objects.exists()


def test_a_bad_call_from_the_shell_has_a_status_of_its_own() -> None:
    command = [sys.executable, "manage.py", "queues", "resume", "nowhere"]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("CommandError: There is no queue 'nowhere'.")


@pytest.mark.parametrize("wait", [lambda: None, lambda: Outbox.objects.all().delete()])
def test_the_audit_names_the_pause_and_not_what_waits_for_it(wait: Callable[[], object]) -> None:
    probe.report.delay("journal")
    Message.objects.update(created_at="2026-01-01T00:00Z", due_at="2026-01-01T00:00Z")
    Outbox.objects.update(due_at="2026-01-01T00:00Z", failures=3)
    wait()
    assert stuck.everything_stuck()
    paused()

    output = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("audit", stdout=output)

    assert ended.value.code == 0
    assert "reporting has been paused since" in output.getvalue()
    pauses.resume("reporting", by="ann")
    Outbox.objects.all().delete()
    assert not stuck.everything_stuck(), "it has had no time to move yet"
