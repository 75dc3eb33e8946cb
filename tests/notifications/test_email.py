"""E-mail to real servers that take, refuse, hang, drop, encrypt and ask who we are; and what cannot be an e-mail."""

import socket
from threading import Thread
from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from notifications import addresses, services
from notifications.addresses import InvalidAddress
from notifications.channels.email import MAX_BYTES
from notifications.channels.shape import Uncertain, Unreachable
from notifications.problems import InvalidNotification
from notifications.tables import Attempt, Delivery, Notification
from routing import testing
from routing.ledger.tables import Message as Task
from tests.notifications.certificate import Certificate, certificate
from tests.notifications.mail_server import PASSWORD, MailServer, encrypted_mail_server, mail_server
from tests.notifications.test_smtp import send
from tests.services import free_port

__all__ = ["certificate", "encrypted_mail_server", "mail_server"]

ANN, BEN = "ann@example.org", "ben@example.org"
Outcome = Attempt.Outcome


def letter(to: Any = ANN, **changes: Any) -> Notification:
    return services.notify(to, **{"subject": "Your invoice", "text": "It is due.\n", **changes})


# --- What arrives -----------------------------------------------------------------------------------------------------


def test_a_plain_message_has_its_text_and_marks_itself_as_automatic(mail_server: MailServer) -> None:
    send(subject="Größe ✓", text="Straße\n")

    message = mail_server.deliveries[0].message
    assert (message["Subject"], message.get_content_type()) == ("Größe ✓", "text/plain")
    assert message.get_content().replace("\r\n", "\n") == "Straße\n"
    assert (message["Auto-Submitted"], message["Message-ID"]) == ("auto-generated", "<1@example.com>")


def test_a_message_with_html_has_both_parts_text_first(mail_server: MailServer) -> None:
    send(html="<p>It is <b>due</b>.</p>")

    message = mail_server.deliveries[0].message
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.django_db
def test_sender_and_answers_to_can_be_chosen(mail_server: MailServer) -> None:
    notification = letter(from_email="Shop <shop@bücher.example>", reply_to=["desk@example.com"])
    testing.drain()

    message = mail_server.deliveries[0].message
    assert (message["From"], message["Reply-To"]) == ("Shop <shop@xn--bcher-kva.example>", "desk@example.com")
    assert message["Message-ID"] == f"<{notification.pk.hex}.0@xn--bcher-kva.example>"


def test_names_and_domains_beyond_ascii_reach_the_server_in_ascii(mail_server: MailServer) -> None:
    send(address="Jörg Müller <joerg@bücher.example>")

    delivery = mail_server.deliveries[0]
    assert delivery.recipients == ["joerg@xn--bcher-kva.example"]
    assert delivery.message["To"].addresses[0].display_name == "Jörg Müller"


@pytest.mark.django_db
def test_an_address_listed_twice_is_refused_by_its_place() -> None:
    with pytest.raises(InvalidNotification, match=r"to\.1 cannot be written to: ann@example.org is in it already"):
        letter([ANN, "Ann <ANN@example.org>"])


@pytest.mark.django_db
def test_a_recipient_refused_for_good_does_not_hold_up_the_others(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "550 5.1.1 No such user"}
    notification = letter([ANN, BEN])

    testing.drain(raises=False)

    states = notification.deliveries.order_by("position").values_list("state", "answer")
    assert list(states) == [("failed", "550 5.1.1 No such user"), ("sent", "250 taken")]


# --- What servers say -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        {"to_message": "450 4.2.0 Mailbox busy"},
        {"to_message": "451 4.3.0 Local error"},
        {"to_sender": "451 4.7.1 Greylisted"},
        {"to_sender": "421 4.3.2 Shutting down"},
        {"to_recipient": {ANN: "450 4.2.0 Mailbox busy"}},
        {"to_recipient": {ANN: "421 4.3.2 Shutting down"}},
    ],
)
def test_a_temporary_answer_is_one(mail_server: MailServer, answers: dict[str, Any]) -> None:
    vars(mail_server).update(answers)
    said = next(iter(answers.values()))

    answer = send()

    assert answer.outcome == Outcome.TEMPORARY
    assert answer.text.endswith(said[ANN] if isinstance(said, dict) else said)


@pytest.mark.parametrize(
    "answers",
    [
        {"to_message": "550 5.7.1 Looks like spam"},
        {"to_message": "554 5.6.0 No such format"},
        {"to_sender": "553 5.1.8 Unknown sender domain"},
        {"to_recipient": {ANN: "550 5.1.1 No such user"}},
    ],
)
def test_a_final_answer_is_kept_in_the_servers_words(mail_server: MailServer, answers: dict[str, Any]) -> None:
    vars(mail_server).update(answers)
    said = next(iter(answers.values()))

    answer = send()

    assert answer.outcome == Outcome.PERMANENT
    assert answer.text.endswith(said[ANN] if isinstance(said, dict) else said)


def test_a_server_that_hangs_over_the_message_may_have_it(mail_server: MailServer) -> None:
    mail_server.hangs = True

    with pytest.raises(Uncertain, match="timed out"):
        send()


def test_a_server_that_drops_the_connection_over_the_message_may_have_it(mail_server: MailServer) -> None:
    mail_server.drops = True

    with pytest.raises(Uncertain, match="broke off"):
        send()


def test_an_absent_server_has_got_nothing(mail_server: MailServer, settings: Settings) -> None:
    settings.EMAIL_PORT = free_port()

    with pytest.raises(Unreachable, match=rf"127.0.0.1:{settings.EMAIL_PORT} cannot be reached.*refused"):
        send()


def test_a_host_that_nobody_knows_has_got_nothing(mail_server: MailServer, settings: Settings) -> None:
    settings.EMAIL_HOST = "no-such-host.invalid"

    with pytest.raises(Unreachable, match=r"no-such-host.invalid:\d+ cannot be reached"):
        send()


def test_a_server_that_refuses_to_talk_is_one_that_is_away(mail_server: MailServer, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.EMAIL_PORT = listener.getsockname()[1]
        greeter = Thread(target=_greet, args=[listener, b"554 Your network is blocked\r\n"])
        greeter.start()
        with pytest.raises(Unreachable, match="refused the connection: 554 Your network is blocked"):
            send()
        greeter.join()


def _greet(listener: socket.socket, banner: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(banner)
        connection.recv(100)


# --- Passwords and encryption -----------------------------------------------------------------------------------------


def test_a_refused_login_is_no_word_about_the_message(mail_server: MailServer, settings: Settings) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "taskyard", "wrong"

    with pytest.raises(Unreachable, match=r"refused the login in EMAIL_URL: 535 5\.7\.8"):
        send()


def test_a_right_password_lets_the_message_through(mail_server: MailServer, settings: Settings) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "taskyard", PASSWORD.decode()

    assert send().outcome == Outcome.ACCEPTED

    assert len(mail_server.deliveries) == 1


def test_nothing_is_sent_in_the_clear_where_encryption_is_asked(mail_server: MailServer, settings: Settings) -> None:
    settings.EMAIL_USE_TLS = True

    with pytest.raises(Unreachable, match="cannot do what EMAIL_URL asks of it: STARTTLS"):
        send()


@pytest.mark.parametrize("kind", ["EMAIL_USE_TLS", "EMAIL_USE_SSL"])
def test_an_encrypted_server_is_talked_to_and_kept(
    encrypted_mail_server: MailServer, certificate: Certificate, settings: Settings, kind: str
) -> None:
    encrypted_mail_server.encrypt(certificate, at_once=kind == "EMAIL_USE_SSL")
    setattr(settings, kind, True)
    settings.EMAIL_SSL_CERTFILE = None

    assert [send().outcome, send().outcome] == [Outcome.ACCEPTED] * 2

    assert len(encrypted_mail_server.deliveries) == 2
    assert len(encrypted_mail_server.sessions) == 1


@pytest.mark.parametrize("kind", ["EMAIL_USE_TLS", "EMAIL_USE_SSL"])
def test_a_server_that_cannot_prove_who_it_is_gets_nothing(
    encrypted_mail_server: MailServer,
    certificate: Certificate,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    encrypted_mail_server.encrypt(certificate, at_once=kind == "EMAIL_USE_SSL")
    monkeypatch.delenv("SSL_CERT_FILE")
    setattr(settings, kind, True)

    with pytest.raises(Unreachable, match=r"cannot prove who it is: .*Correct its certificate, or EMAIL_URL"):
        send()

    assert encrypted_mail_server.deliveries == []


# --- What cannot be sent ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "field", "cure"),
    [
        ({"subject": "Hello\nBcc: all@example.org"}, "subject", "write it in one line"),
        ({"subject": "Hello\rBcc: all@example.org"}, "subject", "write it in one line"),
        ({"subject": "Hello\u2028there"}, "subject", "write it in one line"),
        ({"subject": "Hello\0"}, "subject", ""),
        ({"subject": " "}, "subject", "is empty"),
        ({"subject": "x" * 251}, "subject", "250 characters"),
        ({"subject": "\ud800"}, "subject", "surrogate"),
        ({"text": ""}, "text", "is empty"),
        ({"text": "x" * MAX_BYTES, "html": "é"}, "text", "send a link"),
        ({"html": "a\0b"}, "html", "NUL"),
        ({"to": []}, "to", "no recipient"),
        ({"to": ["ann"]}, "to.0", "name@example.org"),
        ({"to": ["ann@"]}, "to.0", "name@example.org"),
        ({"to": ["ann@localhost.\n"]}, "to.0", "name@example.org"),
        ({"to": [f"{ANN}, {BEN}"]}, "to.0", "no single e-mail address"),
        ({"to": [f"{ANN}\nBcc: {BEN}"]}, "to.0", "no single e-mail address"),
        ({"to": [f"Ann\r\nBcc: {BEN} <{ANN}>"]}, "to.0", "no single e-mail address"),
        ({"to": ["jörg@example.org"]}, "to.0", "letters before the @"),
        ({"to": ["ann@" + "ü" * 70 + ".example"]}, "to.0", "name@example.org"),
        ({"to": ["x" * 65 + "@example.org"]}, "to.0", "64 characters before the @"),
        ({"to": ["x@" + ".".join(["y" * 60] * 5)]}, "to.0", "254 in all"),
        ({"to": ["x" * 10_000 + "@example.org"]}, "to.0", "longer than 400 characters"),
        ({"to": ["N" * 400 + f" <{ANN}>"]}, "to.0", "longer than 400 characters"),
        ({"to": ["info@straße.example"]}, "to.0", "use its ASCII form, xn--"),
        ({"reply_to": ["desk"]}, "reply_to", "name@example.org"),
        ({"reply_to": [f"{ANN}\r\nBcc: {BEN}"]}, "reply_to", "no single e-mail address"),
        ({"from_email": f"Shop\r\nBcc: {BEN} <{ANN}>"}, "from_email", "no single e-mail address"),
        ({"from_email": "S" * 400 + f" <{ANN}>"}, "from_email", "longer than 400 characters"),
    ],
)
def test_an_email_that_cannot_be_sent_names_the_field_and_the_cure(
    changes: dict[str, Any], field: str, cure: str
) -> None:
    given = {"to": ANN, **changes}

    with pytest.raises(InvalidNotification) as error:
        letter(given.pop("to"), **given)

    assert {problem.field for problem in error.value.problems} == {field}
    assert cure in error.value.problems[0].detail
    assert not Notification.objects.exists()
    assert not Task.objects.exists()


@pytest.mark.django_db
def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InvalidNotification) as error:
        letter(subject="", text="", lane="express", reply_to=["desk"], attachments="file")

    fields = {problem.field for problem in error.value.problems}
    assert fields == {"subject", "text", "lane", "reply_to", "attachments"}
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("written", "address"),
    [
        (" ann@example.org ", "ann@example.org"),
        ('"Example, Ann" <ann@example.org>', "ann@example.org"),
        ("Ann\u00a0Example <ann@example.org>", "ann@example.org"),
        ("👩\u200d💻 <ann@example.org>", "ann@example.org"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@例え.テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ("o'hara+news@example.org", "o'hara+news@example.org"),
        ("ann@localhost", "ann@localhost"),
    ],
)
def test_an_address_as_people_write_it_is_read(written: str, address: str) -> None:
    assert addresses.parse(written).address == address


@pytest.mark.parametrize(
    "written", ["", "  ", "a@b@example.org", "@example.org", "<>", "ann@exa mple.org", "ann@-x.org"]
)
def test_what_is_no_address_is_told_so(written: str) -> None:
    with pytest.raises(InvalidAddress):
        addresses.parse(written)


@pytest.mark.django_db
def test_a_name_that_would_be_a_header_is_only_a_name(mail_server: MailServer) -> None:
    letter(f'"Bcc: {BEN}" <{ANN}>')
    testing.drain()

    (taken,) = mail_server.deliveries
    assert taken.recipients == [ANN]
    assert taken.message["Bcc"] is None
    assert Delivery.objects.get().address == f'"Bcc: {BEN}" <{ANN}>'
