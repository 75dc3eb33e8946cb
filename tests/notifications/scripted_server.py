"""An SMTP server on loopback that says and does, at each step, exactly what a test tells it."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from pytest_django import Settings

from notifications.channels import lines

HANG, CLOSE = b"<hang>", b"<close>"
END = "."
"""The step at which the message's last line has come."""
USUAL = {
    "BANNER": b"220 ready\r\n",
    "MAIL": b"250 fine\r\n",
    "RCPT": b"250 fine\r\n",
    "DATA": b"354 go on\r\n",
    END: b"250 2.0.0 taken\r\n",
    "RSET": b"250 fine\r\n",
    "QUIT": b"221 bye\r\n",
}


@dataclass
class ScriptedServer:
    """``answers`` by step, and ``once`` for a single time; ``on_hang`` is called when it begins to hang."""

    answers: dict[str, bytes] = field(default_factory=dict)
    once: dict[str, bytes] = field(default_factory=dict)
    features: list[str] = field(default_factory=lambda: ["8BITMIME"])
    on_hang: Callable[[], None] | None = None
    connections: list[list[str]] = field(default_factory=list)
    """What each has said, line by line, without the messages."""
    messages: list[bytes] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections, as a server does with idle ones, and wait until their other ends can know."""
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._sockets.clear()

    def _listen(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            said: list[str] = []
            self.connections.append(said)
            threading.Thread(target=self._serve, args=[sock, said], daemon=True).start()

    def _serve(self, sock: socket.socket, said: list[str]) -> None:
        try:
            with sock, sock.makefile("rb") as file:
                self._say(sock, "BANNER")
                for line in file:
                    said.append(line.decode("latin-1").strip())
                    step = said[-1].partition(" ")[0].upper()
                    self._say(sock, step)
                    if step == "QUIT":
                        return
                    if step == "DATA" and self._answer_was.startswith(b"354"):
                        self._take(sock, file)
        except (OSError, ValueError, _Over):
            return

    def _take(self, sock: socket.socket, file: Iterator[bytes]) -> None:
        taken = []
        for line in file:
            if line == b".\r\n":
                break
            taken.append(line.removeprefix(b"."))
        else:
            return
        answer = self._answer(END)
        if answer.startswith((b"250", HANG, CLOSE)):
            self.messages.append(b"".join(taken))
        self._give(sock, answer)

    def _say(self, sock: socket.socket, step: str) -> None:
        self._answer_was = self._answer(step)
        self._give(sock, self._answer_was)

    def _answer(self, step: str) -> bytes:
        known = self.once.pop(step, None) or self.answers.get(step) or USUAL.get(step)
        if known is not None:
            return known
        if step in ("EHLO", "HELO"):
            texts = ["scripted", *self.features]
            return "".join(f"250{' ' if text is texts[-1] else '-'}{text}\r\n" for text in texts).encode()
        return b"500 what?\r\n"

    def _give(self, sock: socket.socket, answer: bytes) -> None:
        if answer == CLOSE:
            raise _Over
        if answer == HANG:
            if self.on_hang is not None:
                self.on_hang()
            # Until the other side has had enough.
            sock.recv(1)
            self.hung_up.set()
            raise _Over
        sock.sendall(answer)


class _Over(Exception):
    pass


@pytest.fixture
def scripted(settings: Settings) -> Iterator[ScriptedServer]:
    """A scripted server that Django's settings name."""
    server = ScriptedServer()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 1
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.TASKYARD_EMAIL_LANES = {}
    yield server
    lines.disconnect()
    server.stop()
