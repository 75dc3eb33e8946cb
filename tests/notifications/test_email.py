"""Delivering e-mail to real servers that take, refuse, hang and drop."""

import socket
from threading import Thread
from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from notifications import email
from notifications.email import MAX_BYTES, Deferred, Email, InvalidEmail
from routing.errors import PermanentError, TransientError
from tests.notifications.mail_server import PASSWORD, MailServer, mail_server
from tests.services import free_port

__all__ = ["mail_server"]

ANN, BEN = "ann@example.org", "ben@example.org"


def letter(**changes: Any) -> Email:
    return Email(**{"subject": "Your invoice", "text": "It is due.\n", "to": [ANN], **changes})


def test_a_delivered_message_says_who_was_accepted(mail_server: MailServer) -> None:
    outcome = email.deliver(letter(to=[ANN, BEN]), key="42")

    assert outcome == {"accepted": [ANN, BEN], "refused": {}, "message_id": "<42@localhost>"}
    assert mail_server.deliveries[0].recipients == [ANN, BEN]


def test_a_plain_message_has_its_text_and_marks_itself_as_automatic(mail_server: MailServer) -> None:
    email.deliver(letter(subject="Größe ✓", text="Straße\n"), key="42")

    message = mail_server.deliveries[0].message
    assert (message["Subject"], message.get_content_type()) == ("Größe ✓", "text/plain")
    assert message.get_content().replace("\r\n", "\n") == "Straße\n"
    assert (message["Auto-Submitted"], message["Message-ID"]) == ("auto-generated", "<42@localhost>")


def test_a_message_with_html_has_both_parts_text_first(mail_server: MailServer) -> None:
    email.deliver(letter(html="<p>It is <b>due</b>.</p>"), key="42")

    message = mail_server.deliveries[0].message
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_a_repeated_send_carries_the_same_message_id(mail_server: MailServer) -> None:
    for _ in range(2):
        email.deliver(letter(), key="42")

    first, second = mail_server.deliveries
    assert first.message["Message-ID"] == second.message["Message-ID"] == "<42@localhost>"


def test_sender_and_answers_to_can_be_chosen(mail_server: MailServer) -> None:
    email.deliver(letter(from_email="Shop <shop@example.com>", reply_to=["desk@example.com"]), key="42")

    message = mail_server.deliveries[0].message
    assert (message["From"], message["Reply-To"]) == ("Shop <shop@example.com>", "desk@example.com")
    assert message["Message-ID"] == "<42@example.com>"


def test_names_and_domains_beyond_ascii_reach_the_server_in_ascii(mail_server: MailServer) -> None:
    outcome = email.deliver(letter(to=["Jörg Müller <joerg@bücher.example>"]), key="42")

    delivery = mail_server.deliveries[0]
    assert delivery.recipients == ["joerg@xn--bcher-kva.example"]
    assert delivery.message["To"].addresses[0].display_name == "Jörg Müller"
    assert outcome["accepted"] == ["Jörg Müller <joerg@bücher.example>"]


def test_an_address_listed_twice_gets_one_copy(mail_server: MailServer) -> None:
    email.deliver(letter(to=[ANN, ANN]), key="42")

    assert mail_server.deliveries[0].recipients == [ANN]


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
def test_a_temporary_answer_is_tried_again(mail_server: MailServer, answers: dict[str, Any]) -> None:
    vars(mail_server).update(answers)

    with pytest.raises(TransientError, match=r"4\d\d 4\.\d\.\d "):
        email.deliver(letter(), key="42")


@pytest.mark.parametrize(
    "answers",
    [
        {"to_message": "550 5.7.1 Looks like spam"},
        {"to_message": "554 5.6.0 No such format"},
        {"to_sender": "553 5.1.8 Unknown sender domain"},
        {"to_recipient": {ANN: "550 5.1.1 No such user"}},
    ],
)
def test_a_final_answer_fails_at_once_in_the_servers_words(mail_server: MailServer, answers: dict[str, Any]) -> None:
    vars(mail_server).update(answers)
    words = next(iter(answers.values()))

    with pytest.raises(PermanentError) as error:
        email.deliver(letter(), key="42")

    assert (words[ANN] if isinstance(words, dict) else words) in str(error.value)


def test_a_server_that_hangs_is_tried_again(mail_server: MailServer) -> None:
    mail_server.hangs = True

    with pytest.raises(TransientError, match="timed out"):
        email.deliver(letter(), key="42")


def test_a_server_that_drops_the_connection_is_tried_again(mail_server: MailServer) -> None:
    mail_server.drops = True

    with pytest.raises(TransientError, match="broke off"):
        email.deliver(letter(), key="42")


def test_an_absent_server_is_tried_again(mail_server: MailServer, settings: Settings) -> None:
    settings.EMAIL_PORT = free_port()

    with pytest.raises(TransientError, match=rf"127.0.0.1:{settings.EMAIL_PORT} cannot be reached.*refused"):
        email.deliver(letter(), key="42")


@pytest.mark.parametrize(
    ("banner", "fate"), [(b"421 Too busy\r\n", TransientError), (b"554 Your network is blocked\r\n", PermanentError)]
)
def test_a_greeting_decides_too(
    mail_server: MailServer, settings: Settings, banner: bytes, fate: type[Exception]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.EMAIL_PORT = listener.getsockname()[1]
        greeter = Thread(target=_greet, args=[listener, banner])
        greeter.start()
        with pytest.raises(fate, match=f"refused the connection: {banner.decode().strip()}"):
            email.deliver(letter(), key="42")
        greeter.join()


def _greet(listener: socket.socket, banner: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(banner)
        connection.recv(100)


def test_a_refused_login_fails_at_once(mail_server: MailServer, settings: Settings) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "taskyard", "wrong"

    with pytest.raises(PermanentError, match=r"refused the login in EMAIL_URL: 535 5\.7\.8"):
        email.deliver(letter(), key="42")


def test_a_right_password_lets_the_message_through(mail_server: MailServer, settings: Settings) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "taskyard", PASSWORD.decode()

    email.deliver(letter(), key="42")

    assert len(mail_server.deliveries) == 1


def test_a_server_without_encryption_fails_at_once_where_encryption_is_asked(
    mail_server: MailServer, settings: Settings
) -> None:
    settings.EMAIL_USE_TLS = True

    with pytest.raises(PermanentError, match="cannot do what EMAIL_URL asks of it: STARTTLS"):
        email.deliver(letter(), key="42")


def test_a_recipient_refused_for_good_does_not_hold_up_the_others(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "550 5.1.1 No such user"}

    outcome = email.deliver(letter(to=[ANN, BEN]), key="42")

    assert outcome["accepted"] == [BEN]
    assert outcome["refused"] == {ANN: "550 5.1.1 No such user"}


def test_recipients_refused_for_now_are_tried_again_alone(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "450 4.2.0 Greylisted"}
    with pytest.raises(Deferred, match=rf"{ANN}: 450 4.2.0 Greylisted. It was accepted for {BEN}") as deferred:
        email.deliver(letter(to=[ANN, BEN]), key="42")
    mail_server.to_recipient = {}

    outcome = email.deliver(letter(to=[ANN, BEN]), key="42", settled=deferred.value.settled)

    assert [delivery.recipients for delivery in mail_server.deliveries] == [[BEN], [ANN]]
    assert outcome["accepted"] == [BEN, ANN]


def test_a_server_that_closes_within_the_list_has_taken_nobody(mail_server: MailServer) -> None:
    mail_server.to_recipient = {BEN: "421 4.3.2 Shutting down"}

    with pytest.raises(Deferred) as deferred:
        email.deliver(letter(to=[ANN, BEN, "cat@example.org"]), key="42")

    assert deferred.value.settled == {}


def test_files_take_the_place_of_a_server(settings: Settings, tmp_path: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path

    outcome = email.deliver(letter(), key="42")

    (file,) = tmp_path.iterdir()
    assert "It is due." in file.read_text()
    assert outcome["accepted"] == [ANN]


@pytest.mark.parametrize(
    ("changes", "field", "cure"),
    [
        ({"subject": "Hello\nBcc: all@example.org"}, "subject", "write it in one line"),
        ({"subject": "Hello\u2028there"}, "subject", "write it in one line"),
        ({"subject": " "}, "subject", "is empty"),
        ({"subject": "x" * 251}, "subject", "250 characters"),
        ({"subject": "\ud800"}, "subject", "surrogate"),
        ({"text": ""}, "text", "is empty"),
        ({"text": "x" * MAX_BYTES, "html": "é"}, "text", "send a link"),
        ({"html": "a\0b"}, "html", "NUL"),
        ({"to": []}, "to", "no recipient"),
        ({"to": ANN}, "to", "give a list"),
        ({"to": [ANN] * 101}, "to", "100 are possible"),
        ({"to": ["ann"]}, "to", "name@example.org"),
        ({"to": ["ann@"]}, "to", "name@example.org"),
        ({"to": ["ann@localhost.\n"]}, "to", "name@example.org"),
        ({"to": [f"{ANN}, {BEN}"]}, "to", "no single e-mail address"),
        ({"to": [f"{ANN}\nBcc: {BEN}"]}, "to", "no single e-mail address"),
        ({"to": ["jörg@example.org"]}, "to", "letters before the @"),
        ({"to": ["ann@" + "ü" * 70 + ".example"]}, "to", "name@example.org"),
        ({"reply_to": ["desk"]}, "reply_to", "name@example.org"),
        ({"from_email": f"Shop\r\nBcc: {BEN} <{ANN}>"}, "from_email", "no single e-mail address"),
    ],
)
def test_an_email_that_cannot_be_sent_names_the_field_and_the_cure(
    changes: dict[str, Any], field: str, cure: str
) -> None:
    with pytest.raises(InvalidEmail, match=field) as error:
        email.check(letter(**changes))

    (problem,) = error.value.problems
    assert problem.field == field
    assert cure in problem.detail


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InvalidEmail) as error:
        email.check(letter(subject="", text="", to=["ann"]))

    assert [problem.field for problem in error.value.problems] == ["subject", "text", "to"]


def test_an_invalid_email_is_never_handed_over() -> None:
    with pytest.raises(PermanentError, match="subject"):
        email.deliver(letter(subject="Hello\nBcc: all@example.org"), key="42")

    assert mail.outbox == []
