"""What OpenTelemetry's own variables say of traces. What is wrong is one sentence with its cure."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from project.environment import Environment

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def exporter(env: Environment) -> str:
    """``otlp`` or ``console``; empty where there shall be no traces. Raises ImproperlyConfigured."""
    if env.boolean("OTEL_SDK_DISABLED", default=False):
        return ""
    endpoints = [name for name in ENDPOINTS if env.text(name, "")]
    default = "otlp" if endpoints else "none"
    found = env.choice("OTEL_TRACES_EXPORTER", default, ("otlp", "console", "none"))
    if found == "none":
        return ""
    if not _is_installed():
        cause = "OTEL_TRACES_EXPORTER" if env.text("OTEL_TRACES_EXPORTER", "") else endpoints[0]
        raise ImproperlyConfigured(
            f"{cause} asks for traces, and OpenTelemetry is not installed: pip install 'taskyard[otel]'. To do without "
            "them: OTEL_TRACES_EXPORTER=none."
        )
    if found == "otlp":
        _require_http(env, endpoints)
    return found


def _require_http(env: Environment, endpoints: list[str]) -> None:
    for name in endpoints:
        try:
            parts = urlsplit(env.text(name, ""))
            is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_usable = False
        if not is_usable:
            # Never the value itself: it may hold a password.
            raise ImproperlyConfigured(f"{name} is no address of a collector. Use such as http://localhost:4318.")
    for name in PROTOCOLS:
        env.choice(name, "http/protobuf", ("http/protobuf",))


def _is_installed() -> bool:
    try:
        return all(map(find_spec, ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")))
    except ImportError:
        return False
