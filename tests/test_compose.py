"""deploy/compose.yaml, as an engine reads it: all that it names is there, and fits the image and the project."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from routing import alive

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text()
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "taskyard"}

# Of the Compose specification, with the forms used here.
KEYS = {
    "build": dict,
    "command": list,
    "depends_on": dict,
    "deploy": dict,
    "entrypoint": list,
    "env_file": str,
    "environment": dict,
    "healthcheck": dict,
    "hostname": str,
    "image": str,
    "init": bool,
    "ports": list,
    "restart": str,
    "stop_grace_period": str,
    "volumes": list,
}
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period"}
CONDITIONS = {"service_healthy", "service_completed_successfully"}
DURATION = re.compile(r"\d+s\Z")


def image_settings() -> dict[str, str]:
    """``ENV`` of the Containerfile."""
    found = re.findall(r"^ENV (.+)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    return dict(part.split("=", 1) for line in found for part in shlex.split(line))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_key_of_a_service_is_one_of_composes_own_in_its_form(name: str) -> None:
    for key, value in SERVICES[name].items():
        assert isinstance(value, KEYS[key]), f"{name}: {key}"
    assert DURATION.match(SERVICES[name]["stop_grace_period"])
    assert DOCUMENT.keys() - {"name", "services", "volumes"} == {key for key in DOCUMENT if key.startswith("x-")}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migrate"}))
def test_a_health_check_has_all_it_takes(name: str) -> None:
    check = SERVICES[name]["healthcheck"]

    assert check.keys() == HEALTHCHECK
    assert all(DURATION.match(check[key]) for key in ("interval", "timeout", "start_period"))
    assert check["test"][0] == "CMD"
    assert isinstance(check["retries"], int)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_waits_for_is_there_and_can_come_true(name: str) -> None:
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        assert wanted["condition"] in CONDITIONS
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            # One that is always started again never completes.
            assert SERVICES[other]["restart"] == "on-failure"


def test_every_volume_is_declared_and_used_and_every_file_is_there() -> None:
    sources = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]

    assert {one for one in sources if not one.startswith(".")} == DOCUMENT["volumes"].keys()
    assert all((DEPLOY / one).is_file() for one in sources if one.startswith("."))
    assert sources.count("postgresql") == 1, "two servers on one folder would destroy it"


def test_every_variable_is_in_the_example_and_known_to_the_project_or_the_images() -> None:
    example = re.findall(r"^([A-Z_]+)=", (DEPLOY / "environment.example").read_text(), re.MULTILINE)
    documented = (ROOT / "docs" / "operations.md").read_text()

    assert set(re.findall(r"\$\{(\w+)", TEXT)) <= set(example)
    assert SERVICES["web"]["env_file"] == ".env"
    for name in {key for service in OURS.values() for key in service["environment"]} | set(example):
        assert f"`{name}`" in documented or f"${{{name}:?}}" in TEXT, name


def test_one_service_builds_the_image_that_the_others_use() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["migrate"]
    build = SERVICES["migrate"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    for service in SERVICES.values():
        # A database server of another release would refuse its own files.
        assert service["image"] == "taskyard" or re.search(r":\d[\w.]*\Z", service["image"])


@pytest.mark.parametrize("name", sorted(OURS.keys() - {"migrate"}))
def test_a_command_is_one_that_the_images_python_can_run(name: str) -> None:
    first, second, *rest = SERVICES[name]["command"]

    if first == "-m":
        assert find_spec(second)
    else:
        assert (ROOT / first).is_file()
        assert second in get_commands()
    assert all(find_spec(one.removeprefix("python:")) for one in rest if one.startswith(("python:", "project.")))


def test_whoever_migrates_runs_commands_that_there_are() -> None:
    (script,) = SERVICES["migrate"]["command"]

    commands = re.findall(r"python manage\.py (\w+)", script)
    assert commands == ["migrate", "createcachetable", "topology"]
    assert set(commands) <= get_commands().keys()


def test_the_probe_of_a_process_asks_for_its_own_role() -> None:
    roles = {name: service["healthcheck"]["test"][4] for name, service in OURS.items() if "alive" in str(service)}

    assert set(roles.values()) <= set(alive.ROLES)
    assert all(role == ("worker" if name.startswith("pool-") else name) for name, role in roles.items())
    assert roles.keys() == OURS.keys() - {"web", "migrate"}


def test_the_web_server_is_reached_where_it_listens(settings: Any) -> None:
    (port,) = SERVICES["web"]["ports"]

    assert image_settings()["BIND"] == "0.0.0.0"  # noqa: S104  (in the container)
    assert port.split(":")[1] == "8000"
    assert "localhost:8000/health/live" in SERVICES["web"]["healthcheck"]["test"][3]
    assert "PORT" not in SERVICES["web"]["environment"]


def test_database_and_brokers_are_reached_under_the_names_and_passwords_they_have() -> None:
    environment = SERVICES["relay"]["environment"]

    for url in [environment["DATABASE_URL"], *environment["BROKER_URL"].split(";")]:
        user, password, host = re.match(r"\w+://(\w+):(\$\{\w+:\?\})@(\w+):\d+/", url).groups()  # type: ignore[union-attr]
        own = SERVICES[host]["environment"]
        assert user in own.values()
        assert password in own.values()
        assert SERVICES[host].get("hostname", host) == host
