"""A secret value, such as a reset link, is nowhere but in the message: not in any table, log, result or page."""

import io
import json
import logging
from html import escape
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db import connection
from django_celery_results.models import TaskResult

from notifications import content, sealing, services
from notifications.channels.email import EmailChannel
from notifications.channels.shape import Answer
from notifications.delivering import deliver
from notifications.problems import InvalidNotification
from notifications.tables import Delivery, Notification
from notifications.templating import versions
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template
from routing.ledger.tables import DeadLetter, Message
from tests.inline import drain, worker
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db
ANN = "ann@example.org"
TOKEN = "tok-9f86d081884c7d65"  # noqa: S105
WORD = "größe\n1"
LINK = f"https://example.org/reset?a=1&token={TOKEN}"


@pytest.fixture
def reset() -> None:
    sources = Sources(
        subject="Your password, {{ name }}",
        text="",
        html='<style>a { color: red }</style><p>Dear {{ name }},</p><a href="{{ link }}">Choose a new one</a> '
        '{{ link|slice:":60" }}',
    )
    variables = [
        Variable(name="link", secret=True, sample="https://example.org/reset?token=…"),
        Variable(name="name", sample="Ann"),
    ]
    versions.save(Template.objects.create(name="reset"), sources, variables, after=0)


def everything() -> str:
    """All rows of all tables, as text."""
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            found += [str(bytes(cell)) if isinstance(cell, memoryview) else str(cell) for row in cursor for cell in row]
    return "\n".join(found)


def call(to: Any = ANN, **changes: Any) -> Delivery:
    context = {"link": LINK, "name": "Ann"} if isinstance(to, str) else {"name": "Ann"}
    return services.notify(to, template="reset", **{"context": context, **changes}).deliveries.get()


def assert_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    # But for the log of the mail server itself, which runs in this process.
    logged = [record for record in caplog.records if record.name != "mail.log"]
    kept = everything() + "".join(f"{vars(record)} {record.getMessage()} {record.exc_text}" for record in logged)
    for form in (TOKEN, LINK, escape(LINK), quote(LINK, safe="")):
        assert form not in kept


@pytest.mark.parametrize("to", [ANN, {"email": ANN, "link": LINK}], ids=["common", "own"])
def test_before_it_is_sent_it_is_only_there_encrypted(to: Any, reset: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    delivery = call(to, key="reset:7")
    call(to, key="reset:7")

    assert_is_nowhere(caplog)
    assert sealing.unseal(delivery.sealed) == {"link": LINK}
    assert delivery.sealed in everything()
    assert Message.objects.get().pk == delivery.task_id


@pytest.mark.parametrize("to", [ANN, {"email": ANN, "link": LINK}], ids=["common", "own"])
def test_once_it_is_sent_it_is_nowhere(
    to: Any, reset: None, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    delivery = call(to)

    with worker():
        drain()

    [sent] = mail_server.deliveries
    assert TOKEN in sent.message.as_string().replace("=\n", "")
    delivery.refresh_from_db()
    assert (delivery.state, delivery.sealed) == (Delivery.State.SENT, "")
    assert TaskResult.objects.get().status == "SUCCESS"
    assert_is_nowhere(caplog)


def test_it_is_shown_masked_and_still_known_for_the_message_that_was_sent(reset: None, mail_server: MailServer) -> None:
    delivery = call()
    deliver(str(delivery.notification_id), 0, task_id=delivery.task_id)

    shown = content.of(Delivery.objects.get())

    assert f'href="{sealing.MASK}"' in shown.html
    assert TOKEN not in f"{shown}"
    assert shown.digest == Delivery.objects.get().digest


@pytest.mark.parametrize(
    "answer", [f"550 5.7.1 blocked: {LINK}", f"550 5.7.1 blocked: {escape(LINK)}", f"550 5.7.1 {quote(LINK)}"]
)
def test_a_server_that_quotes_it_spreads_it_no_further(
    answer: str, reset: None, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="notifications")
    mail_server.to_message = answer
    delivery = call()

    with worker():
        drain()

    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.FAILED
    assert sealing.MASK in delivery.answer
    assert DeadLetter.objects.exists()
    assert TaskResult.objects.get().status == "FAILURE"
    assert_is_nowhere(caplog)
    assert sealing.unseal(delivery.sealed) == {"link": LINK}, "for a replay"


class Talkative(EmailChannel):
    """A channel with a bug, whose exceptions quote all that they know: in words, arguments, notes and causes."""

    def send(self, message: Any, *, handing_over: Any) -> Answer:
        try:
            raise KeyError(LINK, message.html)
        except KeyError as inner:
            error = ValueError(f"no room for {LINK}", {"message": message.text})
            error.add_note(quote(LINK, safe=""))
            raise error from inner


def test_a_channel_with_a_bug_spreads_it_no_further(
    reset: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("notifications.channels.get", lambda _: Talkative())
    delivery = call()

    with worker():
        drain()

    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == (Delivery.State.FAILED, "broken")
    assert f"ValueError: ('no room for {sealing.MASK}'" in delivery.attempts.get().answer
    letter = DeadLetter.objects.get()
    assert "Mistake: ValueError: ('no room for" in (letter.error or "")
    assert "in send" in (letter.traceback or ""), "where the bug is"
    assert "because of KeyError" in caplog.text
    assert_is_nowhere(caplog)


def test_a_mistake_without_secrets_at_hand_is_told_as_it_is() -> None:
    error = ValueError("no room")

    assert sealing.told_without(error, {}) is error


def test_a_replay_of_a_failed_one_sends_the_link_and_then_erases_it(
    reset: None, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    mail_server.to_message = "554 5.7.0 Not today"
    delivery = call()
    with worker():
        drain()
    mail_server.to_message = "250 taken"

    call_command("dead_letters", "replay", delivery.task_id, "--yes", stdout=io.StringIO())
    with worker():
        drain()

    [sent] = mail_server.deliveries
    assert TOKEN in sent.message.as_string().replace("=\n", "")
    delivery.refresh_from_db()
    assert (delivery.state, delivery.sealed) == (Delivery.State.SENT, "")
    assert_is_nowhere(caplog)


def test_a_cancelled_one_forgets_it(reset: None) -> None:
    delivery = call()

    services.cancel(delivery.notification)

    delivery.refresh_from_db()
    assert delivery.sealed == ""


def test_a_refused_call_does_not_quote_it(reset: None, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidNotification) as told:
        services.notify(ANN, template="reset", context={"link": LINK})

    assert "the template needs name" in str(told.value)
    assert not Notification.objects.exists()
    assert TOKEN not in f"{told.value}{told.value.problems}"
    assert_is_nowhere(caplog)


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("text", "secrets", "seen"),
    [
        ("see https://a/b?c=d!", {"x": "https://a/b?c=d"}, "see ••••••!"),
        ("no 1234 nor 99", {"x": {"pin": 1234}, "y": ["99", None, True]}, "no •••••• nor 99"),
        (f"{KeyError(WORD)} {json.dumps(WORD)}", {"x": WORD}, "'••••••' \"••••••\""),
        ("abcdef abc", {"x": "abc", "y": "abcdef"}, "•••••• ••••••"),
        ("nothing", {}, "nothing"),
    ],
)
def test_secret_values_are_taken_out_of_a_text(text: str, secrets: dict[str, Any], seen: str) -> None:
    assert sealing.without(text, secrets) == seen
