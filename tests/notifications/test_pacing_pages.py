"""A host that is down, and a limit that is waited for, as operators see them, and what they may do."""

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils.html import escape
from pytest_django import Settings

from notifications.pacing import circuit, gate_rows, line
from notifications.pacing.tables import Gate
from tests.console import specimens
from tests.console.conftest import Serve, serve, viewer
from tests.console.test_health import checks
from tests.console.test_start_page import words
from tests.console.test_status import document, status

__all__ = ["serve", "viewer"]

pytestmark = pytest.mark.django_db(transaction=True)
GATE = "email:smtp.example.org:587"
LIST = "/admin/notifications/gate/"


@pytest.fixture(autouse=True)
def smtp(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "smtp.example.org", 587
    settings.NOTIFICATIONS_LIMITS = {"email": (50, "s")}


@pytest.fixture
def operator(viewer: Client) -> Client:
    User.objects.get().user_permissions.add(Permission.objects.get(codename="change_gate"))
    return viewer


def go_down() -> None:
    for _ in range(circuit.FAILURES):
        circuit.failed(GATE, "Connection refused.")
    circuit._known.clear()


def fill_line(count: int) -> None:
    gate_rows.ensure(["email"])
    for _ in range(count):
        line.join("email", lane="bulk", every=0.02, opens_in=0)


def page(client: Client) -> str:
    response = client.get(LIST)
    assert response.status_code == 200
    return response.content.decode()


def limits(*options: str) -> str:
    output = StringIO()
    call_command("limits", *options, stdout=output)
    return output.getvalue()


def act(client: Client, action: str, *gates: str) -> str:
    answer = client.post(LIST, {"action": action, "_selected_action": gates}, follow=True)
    return answer.content.decode()


@pytest.mark.broker
def test_a_host_that_is_down_is_told_everywhere_and_takes_no_process_away(viewer: Client, serve: Serve) -> None:
    serve()
    specimens.beat()
    specimens.relay()
    assert "All is well" in words(viewer)
    go_down()

    text = words(viewer)

    assert "5 queues served, beat alive, but see below." in text
    assert f"{GATE} has been down since" in text
    check = checks(viewer, 200)[GATE]
    assert (check["ok"], check["look"]) == (True, f"{GATE} is down.")
    code, output = status()
    assert (code, f"{GATE} has been down since" in output, "All is well" in output) == (0, True, False)
    assert "Connection refused. To try at once: manage.py limits --try-now" in document()[1]["look"][0]


def test_the_page_shows_every_gate_before_anything_has_passed(viewer: Client) -> None:
    html = page(viewer)

    assert "No host is down. 1 limit is kept." in html
    assert "50/s" in html
    assert GATE in html


def test_the_page_tells_why_since_when_and_how_many_wait(viewer: Client) -> None:
    go_down()
    fill_line(500)

    html = page(viewer)

    assert "1 host is down. What is meant for others goes out." in html
    assert "down, tried at" in html
    assert "Connection refused" in html
    assert "in bulk until" in html


def test_a_host_that_failed_now_and_then_is_told_from_one_that_is_down(viewer: Client) -> None:
    circuit.failed(GATE, "Connection refused.")
    circuit._known.clear()

    html = page(viewer)

    assert "No host is down." in html
    assert "failed once" in html


def test_who_may_look_may_not_decide(viewer: Client) -> None:
    go_down()
    before = Gate.objects.get(pk=GATE).probe_at

    assert "Try selected hosts now" not in page(viewer)
    act(viewer, "try_selected", GATE)

    assert Gate.objects.get(pk=GATE).probe_at == before


def test_an_operator_has_a_host_tried_at_once(operator: Client) -> None:
    go_down()

    assert "1 host is tried now." in act(operator, "try_selected", GATE)

    assert Gate.objects.get(pk=GATE).probe_at <= gate_rows.now()
    circuit.close(GATE)
    assert "None of these is down; there is nothing to try." in act(operator, "try_selected", GATE)


def test_an_operator_gives_a_line_todays_pace(operator: Client) -> None:
    fill_line(500)

    assert escape("0 deliveries come back at today's pace, from now on.") in act(operator, "space_selected", "email")


def test_the_command_tells_people_and_programs_the_same() -> None:
    go_down()
    fill_line(500)

    text, found = limits(), json.loads(limits("--json"))

    rows: dict[str, Any] = {row["gate"]: row for row in found}
    assert rows["email"]["limit"] == "50/s"
    assert 300 < rows["email"]["waiting"]["bulk"]["about"] <= 500
    assert rows[GATE]["error"] == "Connection refused."
    assert "50/s" in text
    assert f"To try at once: manage.py limits --try-now {GATE}" in text


def test_the_command_has_a_host_tried() -> None:
    go_down()

    assert f"One delivery tries {GATE} now." in limits("--try-now", GATE.upper())


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        (["--try-now", "email:nobody:25"], "There is no gate 'email:nobody:25'; use one of email, email:smtp"),
        (["--try-now", GATE], "is not down; there is nothing to try"),
        (["--space-anew", "x"], "There is no gate 'x'"),
        (["--space-anew", "email", "--try-now", GATE], "One at a time"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(options: list[str], cure: str) -> None:
    with pytest.raises(CommandError, match=cure):
        limits(*options)
