"""Carries the requests that Apprise composes: over in their time, to open networks only, and each answer is known.

Apprise itself tells yes or no. Here each of its requests goes the way that a webhook goes, its last byte by itself, so
that status and ``Retry-After`` are seen, and who has got it, who has not and who may have are told apart.
"""

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import Any, NoReturn, cast

import requests
from requests.adapters import BaseAdapter

from notifications.channels import answers
from notifications.channels.shape import Uncertain, Unreachable
from notifications.webhooks import places
from notifications.webhooks.posting import BREAKING_OFF, KEPT_OF_ANSWER, Line, Reply, why
from routing import faults, masking
from routing.errors import PermanentError

_TOO_MANY = 429
# Also where the URL names headers, as in ?+Transfer-Encoding=chunked: how a request ends is what we have to know.
_OURS = frozenset({"accept-encoding", "connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"})


class Answered(Exception):
    """With a no, or from elsewhere: whatever Apprise would do then, this delivery is over."""


class Carrier(BaseAdapter):
    """The requests of one delivery, as requests' transport. What has ended them early is in ``error``."""

    def __init__(self, *, handing_over: Callable[[], Any], seconds: float, secrets: Sequence[str]) -> None:
        super().__init__()
        self._handing_over, self._seconds, self._secrets = handing_over, seconds, secrets
        # From its first request on: what Apprise takes to load and to compose is no time of the other side's.
        self._ends_at: float | None = None
        self.has_begun = False
        self.reply: Reply | None = None
        self.is_whole = True
        """Whether the last answer came to its end."""
        self._has_given = False
        """Whether an earlier request was taken that may have shown something, as the first part of a long text."""
        self.error: Exception | None = None

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Proxies, time limits and checks of certificates are ours, whatever Apprise asks for."""
        if self.error is not None:
            raise self.error
        try:
            return self._carried(request)
        except Exception as error:
            self.error = error
            raise

    def close(self) -> None:
        """Each request has closed its own connection."""

    def _carried(self, request: requests.PreparedRequest) -> requests.Response:
        place, body = places.read(str(request.url)), _bytes(request.body)
        self._secrets = [*self._secrets, *_credentials(request)]
        line = Line(self._left)
        try:
            try:
                line.open(place)
                begun = _begun(line, place, request, body)
            except BREAKING_OFF as error:
                raise self._broken_off(f"{place.name} cannot be reached or broke off: {self._why(error)}") from None
            except ValueError:
                # Of http.client, which quotes the header.
                raise PermanentError(
                    f"{place.name} would get a header with a letter that HTTP cannot carry. It comes from the target's "
                    "URL: give it another one."
                ) from None
            self._begin(line)
            try:
                response = _finished(begun, body)
                content = self._read(response)
            except BREAKING_OFF as error:
                said = f"{place.name} broke off after it was handed the request: {self._why(error)}"
                raise Uncertain(said) from None
        finally:
            line.end()
        return self._answer(request, response, content)

    def _begin(self, line: Line) -> None:
        """Of several requests the first may take effect already, such as a login that is counted."""
        if not self.has_begun:
            self._handing_over()
            self.has_begun = True
            self._ends_at = time.monotonic() + self._seconds
        line.allow(self._left)

    def _broken_off(self, said: str) -> Exception:
        return Uncertain(said) if self.has_begun else Unreachable(said)

    def _read(self, response: HTTPResponse) -> bytes:
        """Of a body that breaks off, what has come; its status has come before it."""
        self.is_whole = True
        try:
            return response.read()
        except IncompleteRead as error:
            self.is_whole = False
            return error.partial
        except BREAKING_OFF:
            self.is_whole = False
            return b""

    def _answer(self, request: requests.PreparedRequest, response: HTTPResponse, content: bytes) -> requests.Response:
        self.reply = Reply(
            response.status,
            self._said(content.decode(errors="replace") or response.reason),
            retry_after=response.headers.get("Retry-After", ""),
            location=self._said(response.headers.get("Location", "")),
        )
        if not 200 <= response.status < 300:
            self._refuse(response.status, self.reply.text)
        self._has_given = self._has_given or request.method != "GET"
        return _as_requests_has_it(request, response, content)

    def _refuse(self, status: int, said: str) -> NoReturn:
        if self._has_given and (status == _TOO_MANY or status >= 500):
            # As a plain no for now it would all be sent again, whether its category asks first or not.
            raise Uncertain(f"{status} {said}, after an earlier request of the same message was taken.")
        raise Answered

    def _why(self, error: BaseException) -> str:
        return why(error, secrets=self._secrets)

    def _said(self, text: str) -> str:
        """Masked before it is cut: half a token is too much of it."""
        return answers.words(masking.without(text, self._secrets))[:KEPT_OF_ANSWER]

    @property
    def _left(self) -> float:
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self._seconds
        return max(self._ends_at - time.monotonic(), 0.001)


class Door:
    """All of the module requests that Apprise's services use: with it in their hands they get nowhere else."""

    RequestException = requests.RequestException
    codes = requests.codes

    @staticmethod
    def request(method: str, url: str, **words: Any) -> requests.Response:
        session = requests.Session()
        session.trust_env = False
        carrier = _current.get()
        session.mount("https://", carrier)
        session.mount("http://", carrier)
        return session.request(method, url, **{**words, "allow_redirects": False, "stream": False})

    @staticmethod
    def get(url: str, **words: Any) -> requests.Response:
        return Door.request("GET", url, **words)

    @staticmethod
    def post(url: str, **words: Any) -> requests.Response:
        return Door.request("POST", url, **words)


_current: ContextVar[Carrier] = ContextVar("notifications.chat.carrier")


@contextmanager
def by(carrier: Carrier) -> Iterator[None]:
    """Whatever goes through the door meanwhile is carried by this one."""
    token = _current.set(carrier)
    try:
        yield
    finally:
        _current.reset(token)


def _credentials(request: requests.PreparedRequest) -> list[str]:
    """As its header has them, such as a password in base64."""
    return str(request.headers.get("Authorization", "")).split()[1:]


def _begun(line: Line, place: places.Place, request: requests.PreparedRequest, body: bytes) -> HTTPConnection:
    """All of the request has gone but its last byte; of one without a body, nothing has."""
    found = HTTPConnection("unused")
    found.auto_open = 0
    found.sock = cast(Any, line)
    found.putrequest(str(request.method), place.target, skip_host=True, skip_accept_encoding=True)
    found.putheader("Host", place.authority)
    for name, value in request.headers.items():
        if name.lower() not in _OURS:
            found.putheader(name, value)
    found.putheader("Connection", "close")
    if body or request.method == "POST":
        found.putheader("Content-Length", str(len(body)))
    if body:
        found.endheaders(body[:-1])
    return found


def _finished(begun: HTTPConnection, body: bytes) -> HTTPResponse:
    if body:
        begun.send(body[-1:])
    else:
        begun.endheaders()
    faults.point("delivery.handed")
    response = begun.getresponse()
    if response.status < 200:
        raise HTTPException(f"it answered {response.status}, which is no answer")
    return response


def _as_requests_has_it(request: requests.PreparedRequest, response: HTTPResponse, content: bytes) -> requests.Response:
    found = requests.Response()
    found.status_code, found.reason = response.status, response.reason
    found.headers.update(response.headers.items())
    found.encoding = response.headers.get_content_charset("utf-8")
    found.raw = io.BytesIO(content)
    found.url, found.request = str(request.url), request
    return found


def _bytes(body: Any) -> bytes:
    match body:
        case None:
            return b""
        case str():
            return body.encode()
        case bytes():
            return body
    raise PermanentError("Apprise would send a stream, which no text needs.")
