"""Traces are off unless OpenTelemetry's own variables ask for them, and then cost nothing."""

import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.environment import Environment
from project.traces import exporter
from tests.workers import ROOT, environment

pytestmark = pytest.mark.any_database

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
LOADED = """
import sys, django
django.setup()
from django.test import Client
from project import celery_app
celery_app.loader.import_default_modules()
import routing.worker.request, routing.broker.relay, project.urls
Client().get("/health/live")
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""


def read(**variables: str) -> str:
    return exporter(Environment(variables))


def test_without_a_word_of_it_no_process_imports_opentelemetry() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=ROOT,
        env=environment() | {"DJANGO_SETTINGS_MODULE": "project.settings"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert ended.stdout == "[]\n"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: ""},
        {ENDPOINT: "http://localhost:4318", "OTEL_SDK_DISABLED": "true"},
        {ENDPOINT: "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_it_is_off(variables: dict[str, str]) -> None:
    assert read(**variables) == ""


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({ENDPOINT: "http://localhost:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
    ],
)
def test_it_is_on(opentelemetry: None, variables: dict[str, str], found: str) -> None:
    assert read(**variables) == found


@pytest.mark.parametrize(
    ("variables", "cure"),
    [
        ({ENDPOINT: "collector:4318"}, f"{ENDPOINT} is no address of a collector. Use such as http://localhost:4318."),
        ({ENDPOINT: "http://["}, "is no address of a collector"),
        (
            {ENDPOINT: "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL='grpc' cannot be used; use one of http/protobuf.",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER='zipkin' cannot be used; use one of otlp, console, none.",
        ),
        ({"OTEL_SDK_DISABLED": "perhaps"}, "OTEL_SDK_DISABLED='perhaps' cannot be used; use 1 or 0."),
    ],
)
def test_what_cannot_work_is_refused_with_its_cure(opentelemetry: None, variables: dict[str, str], cure: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        read(**variables)

    assert cure in str(refused.value)


@pytest.mark.parametrize("variables", [{ENDPOINT: "http://localhost:4318"}, {"OTEL_TRACES_EXPORTER": "otlp"}])
def test_switched_on_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    nothing: Any = None
    # What another test has imported would still be found.
    for name in {"opentelemetry", *(name for name in sys.modules if name.startswith("opentelemetry."))}:
        monkeypatch.setitem(sys.modules, name, nothing)

    with pytest.raises(ImproperlyConfigured) as refused:
        read(**variables)

    assert str(refused.value) == (
        f"{next(iter(variables))} asks for traces, and OpenTelemetry is not installed: pip install 'taskyard[otel]'. "
        "To do without them: OTEL_TRACES_EXPORTER=none."
    )
