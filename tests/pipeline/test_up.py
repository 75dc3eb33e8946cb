"""``make up`` as an operator has it: one start, looked at from outside; Ctrl-C ends it (see ``running_project``)."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from routing.domains import registry
from routing.ledger.results import RECORDED
from tests.pipeline.running import ROOT, RunningProject
from tests.services import PRIVATE_BROKER
from tests.waiting import until

pytestmark = [pytest.mark.pipeline, pytest.mark.any_database]


def test_ready_tells_where_everything_is(running_project: RunningProject) -> None:
    said = running_project.output

    assert f"Admin  {running_project.url}/admin/" in said
    assert f"API    {running_project.url}/api/v1/" in said
    assert f"Mail   {running_project.var / 'mail'}" in said
    assert f"Logs   {running_project.var / 'log'}" in said


def test_first_start_sends_a_sample_through_every_queue(running_project: RunningProject) -> None:
    rows = [line.split("│") for line in running_project.output.splitlines() if line.startswith("│ ")]

    assert {row[1].strip(): row[3].strip() for row in rows} == dict.fromkeys(registry().pools, "SUCCESS")


def test_every_program_has_a_log_of_its_own(running_project: RunningProject) -> None:
    logs = {path.stem for path in (running_project.var / "log").glob("*.log")}

    assert logs >= {"web", "beat", "relay", *registry().pools}
    assert "\x1b" not in (running_project.var / "log" / "web.log").read_text()


def test_a_second_start_says_that_one_runs_already(running_project: RunningProject) -> None:
    assert "runs here already" in _refusal(running_project)


def test_a_taken_port_is_named_with_the_cure(running_project: RunningProject, tmp_path: Path) -> None:
    said = _refusal(running_project, TASKYARD_VAR=str(tmp_path))

    assert f"Port {running_project.port} is taken" in said
    assert "PORT=" in said


@pytest.mark.parametrize(
    ("variable", "url", "cure"),
    [
        ("DATABASE_URL", "postgresql://u:secret@127.0.0.1:9/db", "Start PostgreSQL at 127.0.0.1:9"),
        ("DATABASE_URL", "mysql://u:secret@127.0.0.1/db", "use postgresql://"),
        ("BROKER_URL", "amqp://u:secret@127.0.0.1:9//", "RabbitMQ cannot be reached at 127.0.0.1:9"),
        ("EMAIL_URL", "smtp://u:secret@127.0.0.1:9", "The mail server cannot be reached at 127.0.0.1:9"),
        ("PORT", "eighty", "use a whole number"),
    ],
)
def test_a_wrong_setting_is_one_sentence_with_the_cure(
    running_project: RunningProject, tmp_path: Path, free_web_port: int, variable: str, url: str, cure: str
) -> None:
    own = {"TASKYARD_VAR": str(tmp_path), "PORT": str(free_web_port)}

    said = _refusal(running_project, **{**own, variable: url})

    assert cure in said
    assert "secret@" not in said


@pytest.mark.skipif(not PRIVATE_BROKER, reason="needs a broker whose users are known")
def test_a_brokers_password_that_is_wrong_is_told_and_not_shown(
    running_project: RunningProject, tmp_path: Path, free_web_port: int
) -> None:
    url = f"amqp://guest:secret@127.0.0.1:{running_project.broker_port}//"

    said = _refusal(running_project, TASKYARD_VAR=str(tmp_path), PORT=str(free_web_port), BROKER_URL=url)

    assert said == "RabbitMQ refuses the user name or password in BROKER_URL. Correct them.\n"


@pytest.mark.browser
def test_a_notification_sent_by_api_is_found_in_the_admin(running_project: RunningProject, chromium: Browser) -> None:
    page = chromium.new_page(base_url=running_project.url)
    _sign_in(page, running_project)
    token = _new_token(page)

    enqueued = _call(running_project, "POST", "/api/v1/emails", token, {**EMAIL, "subject": "Seen by a person"})

    state = until(lambda: _outcome(running_project, enqueued["url"], token), what="the outcome")
    assert state["state"] == "SUCCESS"
    page.goto(f"/admin/django_celery_results/taskresult/?q={enqueued['id']}")
    page.get_by_role("link", name="notifications.send_email").first.click()
    expect(page.get_by_text("Seen by a person").first).to_be_visible()
    expect(page.get_by_text("SUCCESS").first).to_be_attached()
    mails = [path.read_text() for path in (running_project.var / "mail").iterdir()]
    assert len([mail for mail in mails if "Subject: Seen by a person" in mail]) == 1
    page.context.close()


def test_a_killed_pool_is_started_again_and_works(running_project: RunningProject) -> None:
    (before,) = _mains(running_project, "manage.py pool", " reporting")
    os.kill(before, signal.SIGKILL)

    running_project.until_says("reporting was ended by SIGKILL")
    until(lambda: _mains(running_project, "manage.py pool", " reporting") not in ([], [before]), what="a new pool")
    _until_healthy(running_project)


@pytest.mark.skipif(not PRIVATE_BROKER, reason="the broker that BROKER_URL names is not ours to kill")
def test_workers_survive_the_death_of_the_broker(running_project: RunningProject) -> None:
    (before,) = running_project.pids("beam.smp")
    workers = _mains(running_project, "manage.py pool")
    os.kill(before, signal.SIGKILL)

    running_project.until_says("broker ended by itself")
    until(lambda: running_project.pids("beam.smp") not in ([], [before]), what="a new broker")
    _until_healthy(running_project)
    assert _mains(running_project, "manage.py pool") == workers


@pytest.mark.skipif(not PRIVATE_BROKER, reason="the broker that BROKER_URL names has its files elsewhere")
def test_the_brokers_folder_may_be_deleted_while_all_of_it_runs(running_project: RunningProject) -> None:
    (before,) = running_project.pids("beam.smp")

    shutil.rmtree(running_project.var / "rabbitmq", ignore_errors=True)

    running_project.until_says("was deleted while broker ran; it begins anew")
    until(lambda: running_project.pids("beam.smp") not in ([], [before]), what="a new broker")
    _until_healthy(running_project)


EMAIL = {"to": ["ann@example.org"], "text": "It works.\n"}


def _sign_in(page: Page, project: RunningProject) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill(project.username)
    page.get_by_label("Password").fill(project.password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("All is well")).to_be_visible()


def _new_token(page: Page) -> str:
    page.goto("/admin/routing/apitoken/add/")
    page.get_by_label("Name").fill("web shop")
    page.get_by_role("button", name="Save").click()
    return page.get_by_label("Token", exact=True).input_value()


def _outcome(project: RunningProject, url: str, token: str) -> dict[str, Any] | None:
    state = _call(project, "GET", url, token)
    return state if state["state"] in RECORDED else None


def _call(project: RunningProject, method: str, path: str, token: str, content: object = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = None if content is None else json.dumps(content)
    with closing(HTTPConnection("localhost", project.port, timeout=10)) as connection:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        assert answer.status in (200, 202), answer.read()
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.fixture
def free_web_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refusal(project: RunningProject, **variables: str) -> str:
    """What a start says that fails at once; anything but sentences fails the test."""
    done = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env={**project.environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def _mains(project: RunningProject, *words: str) -> list[int]:
    """The processes that the supervisor itself started: each leads a session."""
    return sorted(pid for pid in project.pids(*words) if os.getsid(pid) == pid)


def _until_healthy(project: RunningProject) -> None:
    until(lambda: _health(project) == 200, seconds=90, what="/health/ready")


def _health(project: RunningProject) -> int:
    with closing(HTTPConnection("127.0.0.1", project.port, timeout=10)) as connection:
        try:
            connection.request("GET", "/health/ready", headers={"Host": "localhost"})
            return connection.getresponse().status
        except OSError:
            return 0
