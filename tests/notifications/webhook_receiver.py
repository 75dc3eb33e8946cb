"""A receiver of webhooks on loopback that answers with exactly the bytes that a test gives, or does not."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import BinaryIO

import pytest
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

HANG, DRIP, ENDLESS, CLOSE = b"<hang>", b"<drip>", b"<endless>", b"<close>"


def answer(status: str, *, body: str = "", **headers: str) -> bytes:
    """Such as ``answer("429 Too Many Requests", retry_after="30")``."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


TAKEN = answer("204 No Content")


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    def is_signed_with(self, secret: str) -> bool:
        """Whether a receiver that has this secret takes it for genuine, by the standard's own library."""
        try:
            Webhook(secret).verify(self.body, self.headers)
        except WebhookVerificationError:
            return False
        return True


@dataclass
class Receiver:
    """``answers`` are given one after the other, and the last one from then on."""

    host: str = "127.0.0.1"
    port: int = 0
    answers: list[bytes] = field(default_factory=lambda: [TAKEN])
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)
    """What came of requests that never came to their end."""
    on_request: Callable[[], None] | None = None
    let_go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server((self.host, self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}/hook?from=taskyard"

    def stop(self) -> None:
        self.let_go.set()
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self.tls.wrap_socket(sock, server_side=True) if self.tls else sock as open_sock:
                with open_sock.makefile("rb") as file:
                    self._take(file)
                self._give(open_sock)
        except (OSError, _BrokenOff):
            return

    def _take(self, file: BinaryIO) -> None:
        lines = list(iter(file.readline, b"\r\n"))
        headers = dict(line.decode().rstrip("\r\n").split(": ", 1) for line in lines[1:])
        wanted = int(headers["Content-Length"])
        body = file.read(wanted)
        if len(body) < wanted:
            self.broken.append(body)
            raise _BrokenOff
        self.requests.append(Request(lines[0].decode().strip(), headers, body))
        if self.on_request is not None:
            self.on_request()

    def _give(self, sock: socket.socket) -> None:
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if said == HANG:
            self.let_go.wait(20)
        elif said == DRIP:
            sock.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.let_go.wait(0.05):
                sock.sendall(b".")
        elif said == ENDLESS:
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not self.let_go.is_set():
                sock.sendall(b"and on, " * 4096)
        elif said != CLOSE:
            sock.sendall(said)


class _BrokenOff(Exception):
    pass


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """One at an address that webhooks may go to."""
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = [ip_network("127.0.0.1/32")]
    one = Receiver()
    yield one
    one.stop()
