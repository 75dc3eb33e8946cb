"""deploy/ fits the project: every process and queue is there, and nobody is killed before it had the time to end."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from routing.domains import registry
from routing.worker import stopping
from tests.services import missing

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
COMPOSE = (DEPLOY / "compose.yaml").read_text()


def settings_of(unit: str) -> dict[str, list[str]]:
    """What a unit file sets, by name; a name may come several times."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "systemd" / unit).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def blocks(section: str) -> dict[str, str]:
    """The services of compose.yaml as text; ``x-…`` are those that others are made from."""
    start = COMPOSE.index(f"\n{section}:\n")
    inner = re.split(r"\n(?=\S)", COMPOSE[start + 1 :])[0]
    return {part.split(":")[0].strip(): part for part in re.split(r"\n(?=  [a-z])", inner)[1:]}


SERVICES = blocks("services")


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        missing("systemd-analyze is not installed. Debian: apt-get install systemd")
    names = [unit.name.replace("@", "@notifications.urgent") for unit in UNITS]
    for unit, name in zip(UNITS, names, strict=True):
        # Where the project is here; systemd looks whether there is such a program.
        text = (
            unit.read_text()
            .replace("/opt/taskyard/.venv/bin/python", sys.executable)
            .replace("/opt/taskyard", str(ROOT))
        )
        (tmp_path / name).write_text(text)

    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "taskyard" in line]
    assert (done.returncode, complaints) == (0, [])


def test_there_is_a_unit_for_each_process() -> None:
    started = {unit.name: command for unit in UNITS for command in settings_of(unit.name).get("ExecStart", [])}

    python = "/opt/taskyard/.venv/bin/python"
    assert started["taskyard-pool@.service"] == f"{python} manage.py pool %i"
    assert started["taskyard-relay.service"] == f"{python} manage.py relay"
    assert " beat " in started["taskyard-beat.service"]
    assert "gunicorn" in started["taskyard-web.service"]


def test_systemd_waits_as_long_as_a_pool_takes_to_stop() -> None:
    pool = settings_of("taskyard-pool@.service")

    (seconds,) = pool["TimeoutStopSec"]
    assert f"TASKYARD_STOP_WITHIN={seconds}" in pool["Environment"]
    assert pool["KillMode"] == ["mixed"]
    assert int(seconds) > stopping.LAST


def test_compose_has_a_pool_for_each_queue() -> None:
    found = [re.findall(r"manage\.py, pool, (\S+)\]", block) for block in SERVICES.values()]

    assert sorted(name for names in found for name in names) == sorted(registry().pools)


def test_compose_has_every_other_process_and_three_brokers() -> None:
    assert {"postgresql", "migrate", "web", "relay", "beat", "rabbit1", "rabbit2", "rabbit3"} <= SERVICES.keys()
    nodes = re.findall(r"= rabbit@(\w+)", (DEPLOY / "rabbitmq.conf").read_text())
    assert nodes == ["rabbit1", "rabbit2", "rabbit3"]
    assert re.findall(r"@(rabbit\d):5672", COMPOSE) == nodes


def test_compose_waits_as_long_as_a_pool_takes_to_stop() -> None:
    pool = COMPOSE[COMPOSE.index("x-pool:") : COMPOSE.index("x-rabbit:")]

    (grace,) = re.findall(r"stop_grace_period: (\d+)s", pool)
    assert re.findall(r"TASKYARD_STOP_WITHIN: (\d+)", pool) == [grace]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_of_compose_tells_its_health_and_has_time_to_end(name: str) -> None:
    text = SERVICES[name]
    for base in re.findall(r"<<: \*(\w+)", text):
        text += COMPOSE[COMPOSE.index(f"&{base}\n") :].split("\nx-")[0].split("\nservices:")[0]

    assert "stop_grace_period" in text
    assert name == "migrate" or "healthcheck" in text


def test_the_broker_takes_messages_back_when_the_project_thinks_it_does(settings: Any) -> None:
    (milliseconds,) = re.findall(r"^consumer_timeout = (\d+)", (DEPLOY / "rabbitmq.conf").read_text(), re.MULTILINE)

    assert int(milliseconds) == settings.TASKYARD_CONSUMER_TIMEOUT.total_seconds() * 1000


def test_the_image_has_every_package_and_the_handbook() -> None:
    copied = re.findall(r"^COPY (\w+) \1$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    include = (ROOT / "setup.cfg").read_text().partition("include =")[2].partition("[")[0]

    assert copied == [*re.findall(r"(\w+)\*", include), "docs"]
