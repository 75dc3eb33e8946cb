"""Rules and dashboard in deploy/ go by metrics that there are, and Prometheus takes them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

from tests.console.conftest import Serve

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "taskyard.rules.yml"
BOARD = json.loads((DEPLOY / "grafana" / "taskyard.json").read_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> dict[str, str]:
    """By alert, or by panel and number."""
    alerts = {rule["alert"]: rule["expr"] for rule in rules()}
    targets = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in BOARD["panels"]
        for target in panel["targets"]
    }
    return alerts | targets


@pytest.mark.any_database
@pytest.mark.broker
@pytest.mark.django_db(transaction=True)
def test_each_metric_that_rules_and_dashboard_name_exists(client: Client, serve: Serve) -> None:
    serve("reporting")
    text = client.get("/metrics").content.decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    known = {name for name, kind in kinds.items() if kind in ("gauge", "counter")}
    known |= {f"{name}_{part}" for name, kind in kinds.items() if kind == "histogram" for part in ("bucket", "sum")}

    named = {name: set(re.findall(r"taskyard_\w+", expression)) for name, expression in expressions().items()}

    assert {name: sorted(metrics - known) for name, metrics in named.items() if metrics - known} == {}
    assert all(named.values())


@pytest.mark.any_database
def test_each_rule_says_how_urgent_it_is_and_what_to_do() -> None:
    assert len(rules()) > 10
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]


@pytest.mark.any_database
def test_panels_stand_side_by_side_and_have_their_own_numbers() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (row, column)
        for panel in panels
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(column for _, column in taken) == 23


@pytest.mark.any_database
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", RULES.name), ("test", "rules", "taskyard.test.yml"), ("check", "rules", "-")],
    ids=["rules", "tests-of-rules", "panels"],
)
def test_promtool_takes_them(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        # The package is optional, also in CI: the tests above look at the same files.
        pytest.skip("promtool is not installed. Debian: apt-get install prometheus")
    panels = [{"record": "panel", "expr": expression} for expression in expressions().values()]
    given = yaml.safe_dump({"groups": [{"name": "panels", "rules": panels}]}) if arguments[-1] == "-" else None
    folder = RULES.parent
    if given:
        arguments = ("check", "rules", "/dev/stdin")

    done = subprocess.run(
        [promtool, *arguments], cwd=folder, input=given, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
