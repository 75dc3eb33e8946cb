"""A provider's HTTP API on loopback that answers as it is told: Mailgun's, as django-anymail speaks it."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from pytest_django import Settings

HANG, DROP = -1, -2
TAKEN = {"id": "<2026@mg.example.org>", "message": "Queued. Thank you."}


@dataclass
class Provider:
    """``status`` HANG takes the message and never answers, DROP ends the connection then."""

    status: int = 200
    body: object = field(default_factory=lambda: TAKEN)
    headers: dict[str, str] = field(default_factory=dict)
    messages: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v3"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            provider.paths.append(self.path)
            provider.messages.append(_fields(self.headers["Content-Type"], data))
            if provider.status == HANG:
                provider.let_go.wait(60)
            if provider.status < 0:
                self.close_connection = True
                return
            answer = provider.body if isinstance(provider.body, bytes) else json.dumps(provider.body).encode()
            self.send_response(provider.status)
            for name, value in {"Content-Length": str(len(answer)), **provider.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _fields(content_type: str, data: bytes) -> Mapping[str, str]:
    if not content_type.startswith("multipart/"):
        return {name: values[0] for name, values in parse_qs(data.decode()).items()}
    whole = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + data, policy=policy.HTTP)
    found = {}
    for part in whole.iter_parts():
        payload = part.get_payload(decode=True)
        name = part.get_param("name", header="Content-Disposition")
        found[str(name)] = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return found


@pytest.fixture
def provider(settings: Settings) -> Iterator[Provider]:
    """The lane ``bulk`` goes through it; all others, through the mail server."""
    provider = Provider()
    settings.EMAIL_TIMEOUT = 1
    settings.TASKYARD_EMAIL_LANES = {
        "bulk": {
            "backend": "anymail.backends.mailgun.EmailBackend",
            "api_key": "key",
            "sender_domain": "mg.example.org",
            "api_url": provider.url,
        }
    }
    yield provider
    provider.stop()
