"""An SMTP session that is over when its time is, whatever the server says, or keeps to itself."""

import io
import re
import select
import smtplib
import socket
import ssl
import time
from typing import Any

from django.core.mail.utils import DNS_NAME

_CHUNK = 64 * 1024
_LONGEST_ANSWER = 1_000_000
_KEPT_OF_ANSWER = 16_000
_LINE = re.compile(rb"[2-5][0-9]{2}(?:[ -]|\r?\n)")
_READY = 220


class Session(smtplib.SMTP):
    """smtplib's own time limit begins anew with each byte that comes, and with each address of a host."""

    def __init__(self) -> None:
        super().__init__(local_hostname=DNS_NAME.get_fqdn())
        self._ends_at = float("inf")

    def allow(self, seconds: float) -> None:
        """From now on, all that is done in it takes so long at most; what is not done by then is a TimeoutError."""
        self._ends_at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def begin(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Connect, with ``tls`` encrypted from the first byte, and hear the greeting.

        Raises OSError, which smtplib's own are, too.
        """
        self._host, sock = host, self._connect(host, port)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            sock.settimeout(self.left)
            self.sock = tls.wrap_socket(sock, server_hostname=host)
        code, text = self.getreply()
        if code != _READY:
            raise smtplib.SMTPConnectError(code, text)

    def send(self, s: Any) -> None:
        data = s.encode(self.command_encoding) if isinstance(s, str) else s
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("it is closed")
        for start in range(0, len(data), _CHUNK):
            self.sock.settimeout(self.left)
            self.sock.sendall(data[start : start + _CHUNK])

    def getreply(self) -> tuple[int, bytes]:
        """An answer of any length, of which the beginning is kept."""
        said: list[bytes] = []
        size = kept = 0
        while True:
            line = self._line()
            size += len(line)
            if size > _LONGEST_ANSWER:
                raise smtplib.SMTPServerDisconnected("its answer has no end")
            if kept < _KEPT_OF_ANSWER:
                said.append(line[4 : 4 + _KEPT_OF_ANSWER].strip())
                kept += len(said[-1])
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(said)

    def has_spoken(self) -> bool:
        """Whether it has said something, or hung up, though it is not its turn."""
        assert self.sock is not None  # noqa: S101  (asked of an open session)
        return bool(select.select([self.sock], [], [], 0)[0])

    def _line(self) -> bytes:
        if self.file is None:
            self.file = io.BufferedReader(_Timely(self))
        line = self.file.readline(_LONGEST_ANSWER)
        if not line:
            raise smtplib.SMTPServerDisconnected("it closed the connection")
        if not line.endswith(b"\n") and len(line) < _LONGEST_ANSWER:
            raise smtplib.SMTPServerDisconnected("it closed the connection within an answer")
        if not _LINE.match(line):
            raise smtplib.SMTPServerDisconnected(f"it does not speak SMTP, it said {line[:60]!r}")
        return bytes(line)

    def _connect(self, host: str, port: int) -> socket.socket:
        """To one address after the other, each with its share of the time: the first one may lead nowhere."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for number, (family, kind, protocol, _, where) in enumerate(found, 1):
            # Ours before anything can happen to it: whoever closes the session closes it.
            self.sock = socket.socket(family, kind, protocol)
            try:
                self.sock.settimeout(self.left / (len(found) - number + 1))
                self.sock.connect(where)
            except OSError:
                self.sock.close()
                if number == len(found):
                    raise
            else:
                return self.sock
        raise OSError(f"{host} has no address")


class _Timely(io.RawIOBase):
    """Reads until the session's time is over."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        sock = self._session.sock
        if sock is None:
            return 0
        sock.settimeout(self._session.left)
        return sock.recv_into(buffer)
