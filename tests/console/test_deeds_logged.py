"""What somebody does on a page is in the log, or it was not done: whoever dies between the two, or cannot write."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import current_app
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db.models.signals import pre_save
from django.test import Client

from routing.console.tokens import ApiToken
from routing.ledger.tables import DeadLetter, Message
from tests.console import specimens
from tests.console.test_dead_letters import KEYS, LETTERS, MAIL
from tests.console.test_task_deeds import TASKS
from tests.ledger.test_causes import letters
from tests.workers import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)

DIES = """
import django, json, sys
django.setup()
from django.contrib.auth.models import User
from django.test import Client
client = Client(SERVER_NAME="localhost")
client.force_login(User.objects.get())
client.post(sys.argv[1], json.loads(sys.argv[2]))
"""


class LogIsFull(Exception):
    pass


@pytest.fixture
def full_log() -> Iterator[None]:
    def refuse(**_: Any) -> None:
        raise LogIsFull

    pre_save.connect(refuse, sender=LogEntry)
    yield
    pre_save.disconnect(refuse, sender=LogEntry)


@pytest.fixture
def olga(client: Client) -> Client:
    user = User.objects.create(username="olga", is_staff=True)
    may = ("view_taskresult", "view_message", "view_payload", "change_deadletter", "change_message")
    user.user_permissions.set(Permission.objects.filter(codename__in=[*may, "view_apitoken", "change_apitoken"]))
    client.force_login(user)
    return client


def dies(url: str, data: dict[str, Any], *, fault: str = "deed.done") -> int:
    """Of a kill at this point, by default between the deed and its entry."""
    environs = {**environment(), "TASKYARD_FAULT": fault, "DJANGO_SETTINGS_MODULE": "project.settings"}
    command = [sys.executable, "-c", DIES, url, json.dumps(data)]
    return subprocess.run(command, cwd=ROOT, env=environs, timeout=120, check=False).returncode


def test_who_dies_after_a_replay_and_before_its_entry_has_replayed_nothing(olga: Client) -> None:
    keys = letters(2)

    died = dies(LETTERS, {"action": "replay_selected", "confirmed": "yes", KEYS: keys})

    assert died == -signal.SIGKILL
    assert set(DeadLetter.objects.values_list("state", flat=True)) == {"open"}
    assert (Message.objects.count(), LogEntry.objects.count()) == (0, 0)
    olga.post(LETTERS, {"action": "replay_selected", "confirmed": "yes", KEYS: keys})
    assert (Message.objects.count(), LogEntry.objects.count()) == (2, 1)


def discards() -> tuple[str, dict[str, Any], Callable[[], object]]:
    data = {"action": "discard_selected", "confirmed": "yes", KEYS: letters(1)}
    return LETTERS, data, lambda: DeadLetter.objects.get().state == "open"


def cancels() -> tuple[str, dict[str, Any], Callable[[], object]]:
    key = str(current_app.send_task("notifications.send_email").id)
    return TASKS, {"action": "cancel_selected", "confirmed": "yes", KEYS: [key]}, Message.objects.filter(pk=key).exists


def edits() -> tuple[str, dict[str, Any], Callable[[], object]]:
    letter = specimens.dead_letter(specimens.result(status="FAILURE"))
    typed = {"args": "", "kwargs": json.dumps(MAIL)}
    left = lambda: DeadLetter.objects.get().state == "open" and not Message.objects.exists()  # noqa: E731
    return f"{LETTERS}{letter.pk}/edit/", typed, left


def revokes() -> tuple[str, dict[str, Any], Callable[[], object]]:
    token = ApiToken(name="shop", scopes="tasks:read")
    token.issue()
    token.save()
    data = {"action": "revoke_selected", KEYS: [token.pk]}
    return "/admin/routing/apitoken/", data, lambda: ApiToken.objects.filter(revoked_at=None).exists()


@pytest.mark.parametrize("deed", [discards, cancels, edits, revokes])
def test_what_cannot_be_logged_is_not_done(olga: Client, full_log: None, deed: Callable[[], Any]) -> None:
    url, data, is_left = deed()

    with pytest.raises(LogIsFull):
        olga.post(url, data)

    assert is_left()
    assert not LogEntry.objects.exists()
