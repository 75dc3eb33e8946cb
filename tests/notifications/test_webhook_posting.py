"""One request to a real receiver: over in its time, never elsewhere, and what has become of it is told apart."""

import base64
import socket
import time
from ipaddress import ip_network
from typing import Any

import pytest
from pytest_django import Settings

from notifications.channels.shape import Uncertain, Unreachable
from notifications.webhooks import places, posting, signing
from notifications.webhooks.places import Closed, Unusable
from notifications.webhooks.posting import Reply
from tests.free_ports import free_port
from tests.notifications.certificate import Certificate, certificate
from tests.notifications.webhook_receiver import CLOSE, DRIP, ENDLESS, HANG, Receiver, answer, receiver

__all__ = ["certificate", "receiver"]

pytestmark = pytest.mark.any_database
BODY = b'{"type":"order.shipped"}'
NAME = "hook.example.org"


class Stopped(Exception):
    pass


def post(url: str, *, body: bytes = BODY, handing_over: Any = lambda: None, seconds: float = 5.0) -> Reply:
    return posting.post(places.read(url), body, headers={"X-Ours": "1"}, handing_over=handing_over, seconds=seconds)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is looked up has these addresses: the first ones the first time, the next ones after that."""
    answers: list[list[str]] = []

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        found = answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers


def test_a_request_is_whole_and_its_answer_comes_back_short(receiver: Receiver) -> None:
    receiver.answers = [answer("200 OK", body="taken,\r\nthank you " * 200)]

    reply = post(receiver.url)

    (request,) = receiver.requests
    assert request.line == "POST /hook?from=taskyard HTTP/1.1"
    assert (request.body, request.headers["X-Ours"]) == (BODY, "1")
    assert request.headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert reply.code == 200
    assert reply.text.startswith("taken, thank you taken,")
    assert len(reply.text) <= posting.KEPT_OF_ANSWER


def test_nothing_takes_effect_before_it_may(receiver: Receiver) -> None:
    def refuse() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        post(receiver.url, body=b"x" * 300_000, handing_over=refuse)

    receiver.answers = [answer("200 OK")]
    post(receiver.url)
    assert [request.body for request in receiver.requests] == [BODY]


@pytest.mark.parametrize("behaviour", [HANG, DRIP, CLOSE, b"no HTTP\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_one_that_breaks_off_after_it_has_all_may_have_taken_it(receiver: Receiver, behaviour: bytes) -> None:
    receiver.answers = [behaviour]
    began = time.monotonic()

    with pytest.raises(Uncertain, match=r"127\.0\.0\.1:\d+ broke off after it was handed the request"):
        post(receiver.url, seconds=0.4)

    assert time.monotonic() - began < 5, "however slowly it drips"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("behaviour", [ENDLESS, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"])
def test_an_answer_that_does_not_end_is_one_by_its_status(receiver: Receiver, behaviour: bytes) -> None:
    receiver.answers = [behaviour]

    assert post(receiver.url, seconds=2.0).code == 200


def test_a_head_without_an_end_is_no_answer(receiver: Receiver) -> None:
    receiver.answers = [b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 60_000) for n in range(9))]

    with pytest.raises(Uncertain, match="its answer has no end"):
        post(receiver.url)


def test_one_that_is_not_there_has_got_nothing(settings: Settings) -> None:
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = [ip_network("127.0.0.1/32")]

    with pytest.raises(Unreachable, match="cannot be reached or broke off"):
        post(f"http://127.0.0.1:{free_port()}/")


def test_one_that_reads_nothing_is_left_when_the_time_is_over(settings: Settings) -> None:
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = [ip_network("127.0.0.1/32")]
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises(Unreachable, match="it took too long"):
            post(f"http://127.0.0.1:{deaf.getsockname()[1]}/", body=b"x" * 30_000_000, seconds=0.4)


def test_a_name_is_looked_up_once_and_the_judged_address_is_called(
    settings: Settings, receiver: Receiver, resolver: list[list[str]]
) -> None:
    elsewhere = Receiver("127.0.0.2", receiver.port)
    resolver += [["127.0.0.1"], ["127.0.0.2"]]

    post(f"http://{NAME}:{receiver.port}/")

    assert [request.headers["Host"] for request in receiver.requests] == [f"{NAME}:{receiver.port}"]
    assert elsewhere.requests == []
    assert resolver == [["127.0.0.2"]], "the second answer was never asked for"
    elsewhere.stop()


def test_a_name_that_leads_to_a_closed_network_is_not_called_there(
    receiver: Receiver, resolver: list[list[str]]
) -> None:
    elsewhere = Receiver("127.0.0.2", receiver.port)
    resolver += [["127.0.0.2"], ["127.0.0.2", "127.0.0.1"]]

    with pytest.raises(Closed, match=r"is at 127\.0\.0\.2, which is no public address.*such as 127\.0\.0\.2/32"):
        post(f"http://{NAME}:{receiver.port}/")
    post(f"http://{NAME}:{receiver.port}/")

    assert (len(receiver.requests), elsewhere.requests, elsewhere.broken) == (1, [], [])
    elsewhere.stop()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "fe80::1",
        "fe80::1%2",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
    ],
)
def test_what_is_no_public_address_is_closed(address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = []
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(family, socket.SOCK_STREAM, 6, "", (address, 443))])

    with pytest.raises(Closed, match="NOTIFICATIONS_WEBHOOK_NETWORKS"):
        places.addresses(places.read(f"https://{NAME}/"), seconds=5)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::808:808"])
def test_a_public_address_is_open_but_not_to_plain_http(
    address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = [ip_network("10.0.0.0/8")]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(family, socket.SOCK_STREAM, 6, "", (address, 443))])

    assert places.addresses(places.read(f"https://{NAME}/"), seconds=5) == [(family, (address, 443))]
    with pytest.raises(Closed, match="plain http is not for webhooks: use https://"):
        places.addresses(places.read(f"http://{NAME}/"), seconds=5)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "017700000001", "localhost"])
def test_an_odd_spelling_of_loopback_is_closed(host: str, settings: Settings) -> None:
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = []

    with pytest.raises(Closed, match="which is no public address"):
        places.addresses(places.read(f"https://{host}/"), seconds=5)


def test_a_name_that_nobody_knows_is_not_reached_now(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(Unreachable, match=r"cannot be looked up: .*Name or service not known"):
        post(f"https://{NAME}/")


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("", "begin with https://"),
        ("example.org/hook", "begin with https://"),
        ("ftp://example.org/", "begin with https://"),
        ("http://example.org/", "use https://"),
        ("https://", "begin with https://"),
        ("https://ann:secret@example.org/", "leave it out"),
        ("https://example.org/#part", "leave it out"),
        ("https://example.org:0/", "port is 0"),
        ("https://example.org:70000/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://exa mple.org/", "a blank"),
        ("https://example.org/\r\nHost: other", "a blank"),
        ("https://bücher.example/", "xn--"),
        ("https://example..org/", "is no host"),
        (f"https://{'a' * 64}.org/", "is no host"),
        (f"https://example.org/{'a' * 1000}", "more than 1000 characters"),
        ("https://10.0.0.1/", "NOTIFICATIONS_WEBHOOK_NETWORKS, such as 10.0.0.1/32"),
        ("https://[::ffff:10.0.0.1]/", "NOTIFICATIONS_WEBHOOK_NETWORKS, such as 10.0.0.1/32"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_with_its_cure(url: str, cure: str, settings: Settings) -> None:
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = []

    with pytest.raises((Unusable, Closed)) as error:
        places.read(url)

    assert cure in str(error.value)


def test_an_encrypted_one_has_to_prove_its_name(
    receiver: Receiver, resolver: list[list[str]], certificate: Certificate
) -> None:
    asked: list[str | None] = []
    context = certificate.context
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    proven = Receiver(tls=context)

    resolver += [["127.0.0.1"], ["127.0.0.1"]]

    assert post(f"https://127.0.0.1:{proven.port}/").code == 204
    with pytest.raises(Unreachable, match="cannot prove who it is"):
        post(f"https://{NAME}:{proven.port}/")

    assert asked == [None, NAME]
    assert len(proven.requests) == 1
    proven.stop()


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of its documentation."""
    secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  (of the example)

    made = signing.headers(
        event_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
        secrets=[base64.b64decode(secret)],
    )

    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
