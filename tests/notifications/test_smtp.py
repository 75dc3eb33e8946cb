"""The way over SMTP: kept connections, servers that hang, drop and say odd things, and what each of it means."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email import message_from_bytes, policy
from types import FrameType
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from pytest_django import Settings

from notifications.channels import lines
from notifications.channels.email import EmailChannel
from notifications.channels.shape import Answer, File, Message, Uncertain, Unreachable
from notifications.tables import Attempt
from tests.notifications.scripted_server import CLOSE, END, HANG, ScriptedServer, scripted
from tests.waiting import until

__all__ = ["scripted"]

Outcome = Attempt.Outcome
STEPS = ["BANNER", "EHLO", "MAIL", "RCPT", "DATA"]
"""All before the message's last line."""


def letter(**changes: Any) -> Message:
    given = {
        "id": "<1@example.com>",
        "address": "ann@example.org",
        "subject": "Hello",
        "text": "It is due.\n",
        "html": "",
        "sender": "shop@example.com",
        "lane": "default",
    }
    return Message(**{**given, **changes})


def send(handing_over: Callable[[], Any] = lambda: None, **changes: Any) -> Answer:
    return EmailChannel().send(letter(**changes), handing_over=handing_over)


def received(raw: bytes) -> Any:
    return message_from_bytes(raw, policy=policy.default)


# --- The connection ---------------------------------------------------------------------------------------------------


def test_messages_follow_one_another_over_one_connection(scripted: ScriptedServer) -> None:
    assert [send().outcome for _ in range(3)] == [Outcome.ACCEPTED] * 3

    (said,) = scripted.connections
    assert [line.split()[0] for line in said] == ["ehlo", *["mail", "rcpt", "DATA"] * 3]


def test_after_a_refusal_the_connection_begins_anew_and_goes_on(scripted: ScriptedServer) -> None:
    scripted.once = {"RCPT": b"550 5.1.1 Nobody\r\n"}

    assert [send().outcome, send().outcome] == [Outcome.PERMANENT, Outcome.ACCEPTED]

    (said,) = scripted.connections
    assert [line.split()[0] for line in said] == ["ehlo", "mail", "rcpt", "rset", "mail", "rcpt", "DATA"]


def test_a_connection_that_the_server_ended_meanwhile_costs_no_attempt(scripted: ScriptedServer) -> None:
    send()
    scripted.hang_up()

    assert send().outcome == Outcome.ACCEPTED
    assert (len(scripted.connections), len(scripted.messages)) == (2, 2)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", [b"421 4.4.2 Too long idle\r\n", CLOSE, b"babble\r\n"])
def test_a_kept_connection_that_fails_at_any_step_costs_no_attempt(
    scripted: ScriptedServer, step: str, answer: bytes
) -> None:
    send()
    scripted.once = {step: answer}

    assert send().outcome == Outcome.ACCEPTED
    assert (len(scripted.connections), len(scripted.messages)) == (2, 2)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", END])
def test_a_new_connection_that_closes_refuses_for_now_and_is_not_kept(scripted: ScriptedServer, step: str) -> None:
    scripted.once = {step: b"421 4.3.2 Shutting down\r\n"}

    assert send().outcome == Outcome.TEMPORARY
    assert send().outcome == Outcome.ACCEPTED
    assert len(scripted.connections) == 2


def test_a_connection_is_left_with_a_goodbye_when_it_has_carried_enough(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MESSAGES", 2)

    for _ in range(3):
        send()

    first, second = scripted.connections
    until(lambda: first[-1] == "QUIT", what="the goodbye")
    assert [line.split()[0] for line in second] == ["ehlo", "mail", "rcpt", "DATA"]


def test_an_idle_connection_is_not_relied_on(scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    send()
    monkeypatch.setattr(lines, "KEPT_FOR", -1.0)

    assert send().outcome == Outcome.ACCEPTED
    assert len(scripted.connections) == 2


def test_a_server_that_hangs_over_the_goodbye_holds_nobody(scripted: ScriptedServer) -> None:
    scripted.answers = {"QUIT": HANG}
    send()

    began = time.monotonic()
    lines.disconnect()

    assert time.monotonic() - began < 0.5


def test_a_forked_child_sends_over_a_connection_of_its_own(scripted: ScriptedServer) -> None:
    send()
    if (child := os.fork()) == 0:
        os._exit(0 if send().outcome == Outcome.ACCEPTED else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert send().outcome == Outcome.ACCEPTED
    parents, childs = scripted.connections
    assert [said.count("DATA") for said in (parents, childs)] == [2, 1]


def test_each_thread_has_a_connection_of_its_own(scripted: ScriptedServer) -> None:
    send()

    def send_elsewhere() -> None:
        send()
        lines.disconnect()

    other = threading.Thread(target=send_elsewhere)
    other.start()
    other.join()

    send()

    assert [said.count("DATA") for said in scripted.connections] == [2, 1]


def test_a_changed_password_is_a_new_connection(scripted: ScriptedServer, settings: Settings) -> None:
    send()
    settings.EMAIL_HOST_PASSWORD = "new"  # noqa: S105

    send()

    assert len(scripted.connections) == 2


# --- Time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_hangs_before_the_end_has_got_nothing(scripted: ScriptedServer, step: str) -> None:
    scripted.answers = {step: HANG}
    handed: list[bool] = []

    began = time.monotonic()
    with pytest.raises(Unreachable, match="timed out"):
        send(lambda: handed.append(True))

    assert time.monotonic() - began < 1.5
    assert not handed
    assert scripted.hung_up.wait(5)


def test_an_address_that_leads_nowhere_is_given_up_in_time(scripted: ScriptedServer, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        settings.EMAIL_PORT = full.getsockname()[1]
        for _ in range(4):
            # Nobody takes them, and then the system answers no more.
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())

        began = time.monotonic()
        with pytest.raises(Unreachable, match="timed out"):
            send()

    assert time.monotonic() - began < 1.5


def test_a_server_that_hangs_over_encryption_has_got_nothing(scripted: ScriptedServer, settings: Settings) -> None:
    settings.EMAIL_USE_TLS = True
    scripted.features, scripted.answers = ["STARTTLS"], {"STARTTLS": HANG}

    with pytest.raises(Unreachable, match="timed out"):
        send()


def test_a_server_that_never_begins_to_encrypt_has_got_nothing(scripted: ScriptedServer, settings: Settings) -> None:
    settings.EMAIL_USE_SSL = True
    scripted.answers = {"BANNER": HANG}

    with pytest.raises(Unreachable):
        send()


def test_a_server_that_hangs_over_the_end_may_have_got_it(scripted: ScriptedServer) -> None:
    scripted.answers = {END: HANG}

    began = time.monotonic()
    with pytest.raises(Uncertain, match="timed out"):
        send()

    assert time.monotonic() - began < 1.5


def test_a_server_that_says_a_letter_now_and_then_is_not_waited_for(scripted: ScriptedServer) -> None:
    over = threading.Event()

    def trickle() -> None:
        while not over.wait(0.1):
            try:
                scripted._sockets[0].sendall(b"2")
            except OSError:
                return

    scripted.answers, scripted.on_hang = {"MAIL": HANG}, threading.Thread(target=trickle, daemon=True).start

    began = time.monotonic()
    with pytest.raises(Unreachable, match="timed out"):
        send()

    over.set()
    assert time.monotonic() - began < 1.5


@pytest.fixture
def soft_limit(scripted: ScriptedServer) -> Iterator[None]:
    """What Celery does to a task that takes too long, as soon as the server hangs."""

    def limit(signum: int, frame: FrameType | None) -> None:
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGUSR1, limit)
    scripted.on_hang = lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(("step", "kind"), [*((step, Unreachable) for step in STEPS), (END, Uncertain)])
def test_a_soft_time_limit_says_what_it_cut_off(
    scripted: ScriptedServer, settings: Settings, soft_limit: None, step: str, kind: type[Exception]
) -> None:
    settings.EMAIL_TIMEOUT = 20
    scripted.once = {step: HANG}

    with pytest.raises(kind, match="longer than this task may run"):
        send()

    assert send().outcome == Outcome.ACCEPTED
    assert len(scripted.connections) == 2


# --- Breaking off -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_hangs_up_before_the_end_has_got_nothing(scripted: ScriptedServer, step: str) -> None:
    scripted.answers = {step: CLOSE}
    handed: list[bool] = []

    with pytest.raises(Unreachable, match="broke off"):
        send(lambda: handed.append(True))

    assert not handed


def test_a_server_that_hangs_up_over_the_end_may_have_got_it(scripted: ScriptedServer) -> None:
    scripted.answers = {END: CLOSE}

    with pytest.raises(Uncertain, match="broke off while it took the message"):
        send()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_what_stops_us_before_the_end_leaves_nothing_half_sent(
    scripted: ScriptedServer, error: type[BaseException]
) -> None:
    def stop() -> None:
        raise error

    with pytest.raises(error):
        send(stop)

    assert send().outcome == Outcome.ACCEPTED
    assert len(scripted.messages) == 1
    assert len(scripted.connections) == 2


def test_a_server_that_lost_patience_before_the_end_has_got_nothing(scripted: ScriptedServer) -> None:
    def dawdle() -> None:
        scripted.hang_up()

    with pytest.raises(Unreachable, match="broke off"):
        send(dawdle)

    assert scripted.messages == []


def test_a_refusal_that_comes_early_is_heard(scripted: ScriptedServer) -> None:
    def dawdle() -> None:
        scripted._sockets[0].sendall(b"451 4.4.2 Too slow\r\n")

    answer = send(dawdle)

    assert (answer.outcome, answer.text) == (Outcome.TEMPORARY, "refused the message: 451 4.4.2 Too slow")
    assert scripted.messages == []


# --- Words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (
            b"550-5.7.1 It looks like spam.\r\n550 5.7.1 Write to us.\r\n",
            "550 5.7.1 It looks like spam. 5.7.1 Write to us.",
        ),
        ("550 5.7.1 Größe überschritten\r\n".encode("latin-1"), "550 5.7.1 Größe überschritten"),
        ("550 5.7.1 Größe\r\n".encode(), "550 5.7.1 Größe"),
        (b"550 5.7.1 a\0b\x1b[31m\r\n", "550 5.7.1 a?b?[31m"),
        (b"550\r\n", "550"),
    ],
)
def test_an_answer_is_kept_in_the_servers_words(scripted: ScriptedServer, said: bytes, text: str) -> None:
    scripted.answers = {END: said}

    answer = send()

    assert (answer.outcome, answer.code, answer.text) == (Outcome.PERMANENT, 550, f"refused the message: {text}")


@pytest.mark.parametrize(
    "said", [b"550 " + b"x" * 100_000 + b"\r\n", b"550-" + b"x" * 50_000 + b"\r\n" + b"550-y\r\n" * 6000 + b"550 z\r\n"]
)
def test_a_very_long_answer_is_cut(scripted: ScriptedServer, said: bytes) -> None:
    scripted.answers = {END: said}

    answer = send()

    assert (answer.outcome, answer.code) == (Outcome.PERMANENT, 550)
    assert len(answer.text) < 1100
    assert send().outcome == Outcome.PERMANENT
    assert len(scripted.connections) == 1


@pytest.mark.parametrize(
    "said", [b"hello\r\n", b"999 what\r\n", b"-1\r\n", b"25\r\n", b"250", b"\r\n", b"354 go on\r\n"]
)
def test_an_answer_that_is_none_leaves_open_what_it_means(scripted: ScriptedServer, said: bytes) -> None:
    scripted.answers = {END: said}

    with pytest.raises(Uncertain):
        send()


def test_a_greeting_that_is_no_smtp_reaches_nobody(scripted: ScriptedServer) -> None:
    scripted.answers = {"BANNER": b"SSH-2.0-OpenSSH_9.2\r\n"}

    with pytest.raises(Unreachable, match=r"does not speak SMTP, it said b'SSH-2\.0"):
        send()


@pytest.mark.parametrize(
    ("step", "said", "what"),
    [
        ("BANNER", b"554 5.7.1 Your network is blocked\r\n", "refused the connection: 554 5.7.1 Your network"),
        ("BANNER", b"421 4.7.0 Too many connections\r\n", "refused the connection: 421 4.7.0 Too many"),
        ("MAIL", b"530 5.7.0 Authentication required\r\n", "refused the login in EMAIL_URL: 530 5.7.0 Auth"),
    ],
)
def test_what_concerns_all_messages_is_no_answer_to_this_one(
    scripted: ScriptedServer, step: str, said: bytes, what: str
) -> None:
    scripted.answers = {step: said}

    with pytest.raises(Unreachable, match=what):
        send()


# --- What is sent -----------------------------------------------------------------------------------------------------


def test_letters_beyond_ascii_go_as_they_are_where_the_server_takes_them(scripted: ScriptedServer) -> None:
    send(text="Straße ✓\n")

    assert scripted.connections[0][1].endswith("BODY=8BITMIME")
    assert "Straße ✓".encode() in scripted.messages[0]


def test_letters_beyond_ascii_are_encoded_for_a_server_of_seven_bits(scripted: ScriptedServer) -> None:
    scripted.features = []

    send(
        subject="Größe",
        address="Jörg <joerg@bücher.example>",
        text="Straße ✓\n",
        html="<p>Straße ✓</p>",
        files=[File(name="Größe.txt", content="ß\n".encode(), content_type="text/plain")],
    )

    assert scripted.messages[0].isascii()
    assert "BODY" not in scripted.connections[0][1]
    message = received(scripted.messages[0])
    assert message.get_body(("plain",)).get_content().strip() == "Straße ✓"
    assert message.get_body(("html",)).get_content().strip() == "<p>Straße ✓</p>"
    assert message["Subject"] == "Größe"
    assert message["To"].addresses[0].addr_spec == "joerg@xn--bcher-kva.example"
    (file,) = message.iter_attachments()
    assert (file.get_filename(), file.get_payload(decode=True)) == ("Größe.txt", "ß\n".encode())


def test_what_is_larger_than_the_server_takes_is_not_sent(scripted: ScriptedServer) -> None:
    scripted.features = ["SIZE 2000"]

    answer = send(text="x" * 3000)

    assert answer.outcome == Outcome.PERMANENT
    assert "and the mail server takes 2,000. Send a link" in answer.text
    assert [line.split()[0] for line in scripted.connections[0]] == ["ehlo"]
    assert send().outcome == Outcome.ACCEPTED
    assert " SIZE=" in scripted.connections[0][-3]


@pytest.mark.parametrize("limit", ["SIZE", "SIZE 0", "SIZE much"])
def test_a_server_without_a_limit_takes_anything(scripted: ScriptedServer, limit: str) -> None:
    scripted.features = [limit]

    assert send(text="x" * 3000).outcome == Outcome.ACCEPTED


def test_dots_and_line_ends_arrive_as_they_were(scripted: ScriptedServer) -> None:
    text = ".\n..\n.hidden\nFrom here\n\n.\nend"

    send(text=text)

    assert received(scripted.messages[0]).get_content().replace("\r\n", "\n") == f"{text}\n"


def test_a_large_message_arrives_whole(scripted: ScriptedServer, settings: Settings) -> None:
    settings.EMAIL_TIMEOUT = 20
    content = os.urandom(3_000_000)

    send(files=[File(name="big.bin", content=content, content_type="application/octet-stream")])

    (file,) = received(scripted.messages[0]).iter_attachments()
    assert file.get_payload(decode=True) == content
