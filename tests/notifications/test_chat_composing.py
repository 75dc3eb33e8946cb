"""What Apprise composes, carried by us: over in its time, nowhere else, and what has become of it is told apart."""

import ast
import base64
import socket
import time
import traceback
from importlib import import_module
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from notifications.channels.shape import Uncertain, Unreachable
from notifications.chat import composing, schemes
from routing.errors import PermanentError
from tests.notifications.certificate import Certificate, certificate
from tests.notifications.webhook_receiver import CLOSE, DRIP, HANG, Receiver, answer, receiver

__all__ = ["certificate", "receiver"]

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.skipif(find_spec("apprise") is None, reason="the extra taskyard[chat] is not installed"),
]
TOKEN = "3ccdd113474722377935511fc85d3dd4"  # noqa: S105  (of a room on loopback)
TAKEN = answer("200 OK", body="ok")


def room(receiver: Receiver) -> str:
    return f"mmost://127.0.0.1:{receiver.port}/{TOKEN}"


def send(url: str, *, handing_over: Any = lambda: None, seconds: float = 5.0, **changes: Any) -> composing.Said:
    said = {"title": "Disk full", "body": "On db-1.", **changes}
    return composing.send(url, **said, handing_over=handing_over, seconds=seconds)


@pytest.mark.parametrize("behaviour", [HANG, DRIP, CLOSE, b"no HTTP\r\n\r\n"])
def test_one_that_breaks_off_after_it_has_all_may_have_taken_it(receiver: Receiver, behaviour: bytes) -> None:
    receiver.answers = [behaviour]
    began = time.monotonic()

    with pytest.raises(Uncertain, match=r"127\.0\.0\.1:\d+ broke off after it was handed the request"):
        send(room(receiver), seconds=0.4)

    assert time.monotonic() - began < 5, "whatever limits Apprise gives its requests"
    assert len(receiver.requests) == 1


def test_what_is_no_http_may_quote_a_secret_and_it_is_masked(receiver: Receiver) -> None:
    receiver.answers = [f"no hook {TOKEN} at {'.' * 250} {TOKEN}\r\n\r\n".encode()]

    with pytest.raises(Uncertain, match="no hook •••••• at") as error:
        send(room(receiver))

    assert TOKEN[:6] not in "".join(traceback.format_exception(error.value))


def test_a_password_is_masked_as_its_header_has_it(receiver: Receiver) -> None:
    written = base64.b64encode(b"ann:password").decode()
    receiver.answers = [answer("401 Unauthorized", body=f"Authorization: Basic {written} is of nobody")]

    said = send(f"nctalk://ann:password@127.0.0.1:{receiver.port}/room-id")

    assert said.reply is not None
    assert said.reply.text == "Authorization: Basic •••••• is of nobody"


def test_a_url_does_not_say_how_a_request_ends(receiver: Receiver) -> None:
    headers = "?+Transfer-Encoding=chunked&+Host=other.example.org&+X-Own=yes"
    receiver.answers = [answer("200 OK", body="{}")]

    send(f"nctalk://ann:password@127.0.0.1:{receiver.port}/room-id{headers}")

    given = {name.lower(): value for name, value in receiver.requests[0].headers.items()}
    assert given["x-own"] == "yes"
    assert given["host"] == f"127.0.0.1:{receiver.port}"
    assert "transfer-encoding" not in given


def test_a_header_that_cannot_be_written_is_not_quoted(settings: Settings) -> None:
    from requests import Request

    from notifications.chat.carrying import Carrier

    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = [ip_network("127.0.0.1/32")]
    carrier = Carrier(handing_over=lambda: None, seconds=5.0, secrets=[])
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        with pytest.raises(PermanentError, match="a letter that HTTP cannot carry") as error:
            carrier.send(Request("POST", url, headers={"X-Key": "tok\u20acn-1234"}, data=b"x").prepare())

    assert "n-1234" not in repr(error.value)
    assert not carrier.has_begun


@pytest.mark.parametrize("first", ["GET", "POST"])
def test_a_part_that_was_taken_is_not_sent_again_unasked(first: str, receiver: Receiver) -> None:
    from requests import Request

    from notifications.chat.carrying import Answered, Carrier

    receiver.answers = [TAKEN, answer("503 Service Unavailable", body="later")]
    carrier = Carrier(handing_over=lambda: None, seconds=5.0, secrets=[])
    carrier.send(Request(first, receiver.url, data=b"one").prepare())

    with pytest.raises(Uncertain if first == "POST" else Answered):
        carrier.send(Request("POST", receiver.url, data=b"two").prepare())

    assert len(receiver.requests) == 2


def test_nothing_takes_effect_before_it_may(receiver: Receiver) -> None:
    class Stopped(Exception):
        pass

    def refuse() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        send(room(receiver), handing_over=refuse)

    receiver.answers = [TAKEN]
    send(room(receiver))
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("pushdeer://127.0.0.1:{port}/no-key", "does not understand the URL of this target as one of PushDeer"),
        ("mmost://127.0.0.1:{port}/TOKEN?channel=a,b", "names several rooms or phones; make a chat target for each"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?template=/etc/hostname", "would be a file of this worker"),
        ("rocket://ann:password@127.0.0.1:{port}/%23ops", "use a webhook, or a personal access token"),
    ],
)
def test_a_url_that_cannot_be_used_fails_with_the_cure(url: str, said: str, receiver: Receiver) -> None:
    with pytest.raises(PermanentError, match=said) as error:
        send(url.format(port=receiver.port).replace("TOKEN", TOKEN))

    assert receiver.requests == []
    assert "password@" not in str(error.value)


def test_a_text_that_is_too_long_is_not_cut(receiver: Receiver) -> None:
    with pytest.raises(PermanentError, match=r"has 4,001 characters, and Mattermost takes 3,989\. Send a link"):
        send(room(receiver), body="x" * 4001)

    assert receiver.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "bark://{host}/device-key-12345",
        "gotify://{host}/abcdefghijklmno",
        "nctalk://ann:password@{host}/room-id",
        "ntfy://ann:password@{host}/topic-name",
        "pushdeer://{host}/pushkey1234567890",
        f"rocket://{'a' * 24}%2F{'b' * 24}@{{host}}/%23ops",
        "synology://{host}/token-1234567890",
    ],
)
def test_each_service_that_is_hosted_takes_one_request(url: str, receiver: Receiver) -> None:
    receiver.answers = [answer("200 OK", body="{}")]
    calls: list[int] = []

    said = send(url.format(host=f"127.0.0.1:{receiver.port}"), handing_over=lambda: calls.append(1))

    assert (said.is_content, len(calls)) == (True, 1)
    (request,) = receiver.requests
    assert b"full" in request.body
    assert "github" not in str(request), "no picture of Apprise's"


@pytest.mark.parametrize("service", schemes.SERVICES, ids=lambda service: service.module)
def test_a_service_goes_nowhere_but_through_our_door(service: schemes.Service) -> None:
    from notifications.chat.carrying import Door

    module = import_module(f"apprise.plugins.{service.module}")
    tree = ast.parse(Path(str(module.__file__)).read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "requests"
    }
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    taken_from = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}

    kind = getattr(module, service.kind)
    assert used <= {name for name in vars(Door) if not name.startswith("_")}
    assert not (imported | taken_from) & {"socket", "ssl", "subprocess", "urllib.request", "urllib3", "http.client"}
    assert not [name for name in taken_from if str(name).startswith("requests")]
    protocols = {kind.protocol, kind.secure_protocol} if isinstance(kind.secure_protocol, str) else kind.secure_protocol
    assert set(service.schemes) <= set(protocols)


def test_a_certificate_is_checked_whatever_apprise_is_told(receiver: Receiver, certificate: Certificate) -> None:
    other = Receiver(tls=certificate.context)

    with pytest.raises(Unreachable, match="cannot prove who it is"):
        send(f"mmosts://localhost:{other.port}/{TOKEN}?verify=no")

    assert other.requests == []
    other.stop()
