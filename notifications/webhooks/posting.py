"""Posts one webhook, and tells apart who has got it, who has not, and who may have: over in its time, whatever is said.

A request takes effect with its last byte. So all but that goes out first, and it alone lies in the window in which a
crash leaves open what has become of it.
"""

import io
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, cast

from celery.exceptions import SoftTimeLimitExceeded

from notifications.channels import answers
from notifications.channels.shape import Uncertain, Unreachable
from notifications.webhooks import places
from notifications.webhooks.places import Place
from routing import faults, masking

SECONDS = 10.0
"""For all up to the last byte together, and once more for the answer to that."""
KEPT_OF_ANSWER = 300
_LONGEST_ANSWER = 100_000
_CHUNK = 64 * 1024
BREAKING_OFF = (OSError, HTTPException, SoftTimeLimitExceeded)


@dataclass(frozen=True)
class Reply:
    """What came back. ``text`` is the beginning of its body, in one line."""

    code: int
    text: str
    retry_after: str = ""
    location: str = ""


def post(
    place: Place, body: bytes, *, headers: Mapping[str, str], handing_over: Callable[[], Any], seconds: float
) -> Reply:
    """Raises Closed, Unreachable where it has certainly not been taken, and Uncertain where it may have been."""
    line = Line(seconds)
    try:
        try:
            line.open(place)
            request = _begun(line, place, body, headers)
        except BREAKING_OFF as error:
            raise Unreachable(f"{place.name} cannot be reached or broke off: {why(error)}") from error
        handing_over()
        line.allow(seconds)
        try:
            return _finished(request, body)
        except BREAKING_OFF as error:
            raise Uncertain(f"{place.name} broke off after it was handed the request: {why(error)}") from error
    finally:
        line.end()


def _begun(line: "Line", place: Place, body: bytes, headers: Mapping[str, str]) -> HTTPConnection:
    """All of the request has gone but its last byte."""
    request = HTTPConnection("unused")
    request.auto_open = 0
    request.sock = cast(Any, line)
    request.putrequest("POST", place.target, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": place.authority, **headers, "Content-Length": str(len(body))}.items():
        request.putheader(name, value)
    request.putheader("Connection", "close")
    request.endheaders(body[:-1])
    return request


def _finished(request: HTTPConnection, body: bytes) -> Reply:
    request.send(body[-1:])
    faults.point("delivery.handed")
    response = request.getresponse()
    if response.status < 200:
        raise HTTPException(f"it answered {response.status}, which is no answer")
    return Reply(
        response.status,
        _beginning(response),
        retry_after=response.headers.get("Retry-After", ""),
        location=answers.words(response.headers.get("Location", ""))[:KEPT_OF_ANSWER],
    )


def _beginning(response: HTTPResponse) -> str:
    """Of a body that breaks off, what has come; its status has come before it."""
    body = b""
    with suppress(*BREAKING_OFF):
        body = response.read(4 * KEPT_OF_ANSWER)
    return answers.words(body or response.reason)[:KEPT_OF_ANSWER]


def why(error: BaseException, *, secrets: Sequence[str] = ()) -> str:
    """Without these: http.client quotes what is no HTTP, and that may quote the request."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"it cannot prove who it is, {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, SoftTimeLimitExceeded):
        return "it took longer than this task may run"
    return answers.words(masking.without(str(error), secrets))[:KEPT_OF_ANSWER] or type(error).__name__


class Line:
    """What http.client takes for a socket: one end for all that is done with it, however slowly bytes drop in."""

    def __init__(self, seconds: float) -> None:
        self._sock: socket.socket | None = None
        self.allow(seconds)
        self._read = 0

    def allow(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def open(self, place: Place) -> None:
        """To one address after the other, each with its share of the time. Raises Closed and OSError."""
        found = places.addresses(place, seconds=self.left)
        for number, (family, where) in enumerate(found):
            try:
                self._connect(family, where, self.left / (len(found) - number))
                break
            except OSError:
                self.end()
                if number + 1 == len(found):
                    raise
        if place.is_encrypted:
            self._encrypt(place.host)

    def sendall(self, data: bytes) -> None:
        sock = self._opened
        for start in range(0, len(data), _CHUNK):
            sock.settimeout(self.left)
            sock.sendall(data[start : start + _CHUNK])

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Timely(self))

    def receive(self, buffer: Any) -> int:
        if self._read > _LONGEST_ANSWER:
            raise HTTPException("its answer has no end")
        self._opened.settimeout(self.left)
        count = self._opened.recv_into(buffer)
        self._read += count
        return count

    def close(self) -> None:
        """By http.client, which has read an answer's head and not its body."""

    def end(self) -> None:
        if self._sock is not None:
            self._sock.close()

    @property
    def _opened(self) -> socket.socket:
        assert self._sock is not None  # noqa: S101  (used after it was opened)
        return self._sock

    def _connect(self, family: socket.AddressFamily, where: tuple[str, int], seconds: float) -> None:
        # Ours before anything can happen to it: whoever ends the line closes it.
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.settimeout(seconds)
        self._sock.connect(where)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _encrypt(self, host: str) -> None:
        self._opened.settimeout(self.left)
        self._sock = _tls(os.environ.get("SSL_CERT_FILE")).wrap_socket(self._opened, server_hostname=host)


@lru_cache(maxsize=4)
def _tls(_authorities: str | None) -> ssl.SSLContext:
    """Made once: it reads all authorities that are trusted."""
    return ssl.create_default_context()


class _Timely(io.RawIOBase):
    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.receive(buffer)
