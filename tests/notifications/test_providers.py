"""Mail through a provider's API, spoken by django-anymail to a server on loopback, and lanes that go their own ways."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from smtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPDataError,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from django.conf import settings as django_settings
from django.core import mail
from pytest_django import Settings

from notifications.channels import servers
from notifications.channels.email import EmailChannel
from notifications.channels.shape import Answer, File, Message, Uncertain, Unreachable
from notifications.checks import check_servers
from notifications.tables import Attempt
from tests.notifications.odd_backends import Failing
from tests.notifications.provider import DROP, HANG, Provider, provider
from tests.notifications.scripted_server import ScriptedServer, scripted
from tests.notifications.test_smtp import letter
from tests.services import free_port

__all__ = ["provider", "scripted"]

Outcome = Attempt.Outcome


def send(**changes: Any) -> Answer:
    message: Message = letter(**{"lane": "bulk", **changes})
    return EmailChannel().send(message, handing_over=lambda: None)


def through(settings: Settings, **options: Any) -> None:
    bulk = {**django_settings.TASKYARD_EMAIL_LANES["bulk"], **options}
    settings.TASKYARD_EMAIL_LANES = {"bulk": bulk}


def test_what_a_provider_takes_is_known_by_both_ids(provider: Provider) -> None:
    answer = send(html="<p>Hello</p>", files=[File(name="Größe.pdf", content=b"%PDF", content_type="application/pdf")])

    assert (answer.outcome, answer.text) == (Outcome.ACCEPTED, "Mailgun: queued, <2026@mg.example.org>")
    (message,) = provider.messages
    assert (message["to"], message["subject"], message["text"]) == ("ann@example.org", "Hello", "It is due.\n")
    assert (message["h:Message-Id"], message["h:Auto-Submitted"]) == ("<1@example.com>", "auto-generated")
    assert message["attachment"] == "%PDF"
    assert provider.paths == ["/v3/mg.example.org/messages"]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_a_provider_refuses_for_now_comes_back(provider: Provider, status: int) -> None:
    provider.status, provider.body = status, {"message": "Slow\0 down"}

    answer = send()

    assert (answer.outcome, answer.code, answer.retry_after) == (Outcome.TEMPORARY, status, None)
    assert answer.text.startswith(f"Mailgun: {status} ")


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("0", timedelta(seconds=1)),
        ("999999999999", timedelta(hours=1)),
        ("soon", None),
        ("-5", None),
        ("Fri, 01 Jan 1999 00:00:00 GMT", timedelta(seconds=1)),
    ],
)
def test_a_provider_says_when_to_come_back(provider: Provider, said: str, wait: timedelta | None) -> None:
    provider.status, provider.headers = 429, {"Retry-After": said}

    assert send().retry_after == wait


def test_a_provider_says_by_the_clock_when_to_come_back(provider: Provider) -> None:
    at = datetime.now(UTC) + timedelta(minutes=5)
    provider.status, provider.headers = 503, {"Retry-After": format_datetime(at, usegmt=True)}

    wait = send().retry_after

    assert wait is not None
    assert timedelta(minutes=4) < wait <= timedelta(minutes=5)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_a_provider_refuses_for_good_has_failed(provider: Provider, status: int) -> None:
    provider.status, provider.body = status, {"message": "to parameter is not a valid address"}

    answer = send()

    assert (answer.outcome, answer.code, answer.blames_address) == (Outcome.PERMANENT, status, False)
    assert "not a valid address" in answer.text


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_wrong_key_is_no_word_about_the_message(provider: Provider, status: int) -> None:
    provider.status, provider.body = status, b"Forbidden"

    with pytest.raises(Unreachable, match=f"Mailgun: {status} Forbidden. Correct EMAIL_URL_BULK"):
        send()


@pytest.mark.parametrize("status", [HANG, DROP, 504])
def test_what_breaks_off_after_it_was_sent_may_have_been_taken(provider: Provider, status: int) -> None:
    provider.status = status

    with pytest.raises(Uncertain, match="Mailgun"):
        send()

    assert len(provider.messages) == 1


@pytest.mark.parametrize("body", [b"<html>Welcome to the hotel's network", {"message": "Hello"}, [1]])
def test_a_yes_that_nobody_understands_is_none(provider: Provider, body: Any) -> None:
    provider.body = body

    with pytest.raises(Uncertain, match="Mailgun: 200"):
        send()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/v3", "http://no-such-host.invalid/v3", "https://{here}/v3", "v3"]
)
def test_a_provider_that_is_not_reached_has_got_nothing(provider: Provider, settings: Settings, url: str) -> None:
    here = provider.url.removeprefix("http://").removesuffix("/v3")
    through(settings, api_url=url.format(port=free_port(), here=here))

    with pytest.raises(Unreachable, match="Mailgun cannot be reached"):
        send()

    assert provider.messages == []


def test_what_the_api_cannot_carry_fails_before_it_is_sent(provider: Provider, settings: Settings) -> None:
    through(settings, sender_domain="mg.example.org/oh")

    answer = send()

    assert answer.outcome == Outcome.PERMANENT
    assert "Invalid '/' in sender domain" in answer.text
    assert provider.messages == []


def test_an_address_that_a_provider_knows_to_be_none_is_blamed(settings: Settings, provider: Provider) -> None:
    settings.TASKYARD_EMAIL_LANES = {
        "bulk": {
            "backend": "anymail.backends.postmark.EmailBackend",
            "server_token": "token",
            "api_url": provider.url,
        }
    }
    provider.status = 422
    provider.body = {"ErrorCode": 300, "Message": "Invalid 'To' address: 'ann@example.org'."}

    answer = send()

    assert (answer.outcome, answer.blames_address) == (Outcome.PERMANENT, True)


def test_postmark_is_asked_to_keep_our_message_id(settings: Settings) -> None:
    from anymail.backends.postmark import EmailBackend

    from notifications.channels import providers

    email = mail.EmailMessage(to=["ann@example.org"], headers={"Message-ID": "<1@example.com>"})
    backend = EmailBackend(server_token="t", api_url=f"http://127.0.0.1:{free_port()}")  # noqa: S106
    with pytest.raises(Unreachable):
        providers.hand_over(backend, email, variable="EMAIL_URL", handing_over=lambda: None)

    assert email.extra_headers == {"Message-ID": "<1@example.com>", "X-PM-KeepID": "true"}


def test_each_lane_goes_its_own_way(provider: Provider, scripted: ScriptedServer, settings: Settings) -> None:
    """Scripted last: its fixture takes the lanes away."""
    settings.TASKYARD_EMAIL_LANES = {
        "bulk": {
            "backend": "anymail.backends.mailgun.EmailBackend",
            "api_key": "key",
            "sender_domain": "mg.example.org",
            "api_url": provider.url,
        }
    }
    send()
    send(lane="urgent")

    assert (len(provider.messages), len(scripted.messages)) == (1, 1)
    assert servers.host("bulk") == "mailgun"
    assert servers.host("urgent") == f"127.0.0.1:{scripted.port}"


def test_a_lanes_server_never_hears_the_password_of_another(scripted: ScriptedServer, settings: Settings) -> None:
    from project.environment import Environment

    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "shop", "hunter2"
    url = f"smtp://127.0.0.1:{scripted.port}"
    settings.TASKYARD_EMAIL_LANES = Environment({"EMAIL_URL_BULK": url}).email_lanes("EMAIL_URL_", ["bulk"])

    assert send().outcome == Outcome.ACCEPTED

    assert not [line for line in scripted.connections[0] if line.upper().startswith("AUTH")]


def test_files_take_the_place_of_a_server(settings: Settings, tmp_path: Path) -> None:
    settings.TASKYARD_EMAIL_LANES = {
        "bulk": {"backend": "django.core.mail.backends.filebased.EmailBackend", "file_path": str(tmp_path / "mail")}
    }

    assert send().outcome == Outcome.ACCEPTED

    (file,) = (tmp_path / "mail").iterdir()
    assert "It is due." in file.read_text()
    assert servers.host("bulk") == "files"


def test_a_folder_that_cannot_be_there_is_a_server_that_is_away(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file")
    settings.TASKYARD_EMAIL_LANES = {
        "bulk": {"backend": "django.core.mail.backends.filebased.EmailBackend", "file_path": str(tmp_path / "mail")}
    }

    with pytest.raises(Unreachable, match="EMAIL_URL_BULK cannot be used: Path for saving email"):
        send()


def test_a_disk_that_is_full_is_a_server_that_is_away(settings: Settings, tmp_path: Path) -> None:
    settings.TASKYARD_EMAIL_LANES = {"bulk": {"backend": "tests.notifications.odd_backends.FullDisk"}}

    with pytest.raises(Unreachable, match="No space left on device"):
        send()


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (SMTPRecipientsRefused({"ann@example.org": (550, b"5.1.1 Nobody")}), Outcome.PERMANENT),
        (SMTPSenderRefused(451, b"4.7.1 Later", "shop@example.com"), Outcome.TEMPORARY),
        (SMTPDataError(554, b"5.6.0 No"), Outcome.PERMANENT),
        (SMTPAuthenticationError(535, b"5.7.8 Wrong"), Unreachable),
        (SMTPConnectError(421, b"Busy"), Unreachable),
        (ConnectionRefusedError(111, "Connection refused"), Unreachable),
        (SMTPServerDisconnected("gone"), Uncertain),
        (TimeoutError("timed out"), Uncertain),
        (ConnectionResetError(104, "Connection reset by peer"), Uncertain),
        (SoftTimeLimitExceeded(), Uncertain),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
def test_what_a_backend_of_the_projects_own_raises_is_told_apart(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception, fate: Any
) -> None:
    settings.TASKYARD_EMAIL_LANES = {"bulk": {"backend": "tests.notifications.odd_backends.Failing"}}
    monkeypatch.setattr(Failing, "error", error)

    if isinstance(fate, type):
        with pytest.raises(fate):
            send()
    else:
        assert send().outcome == fate


def test_the_console_takes_the_place_of_a_server(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.TASKYARD_EMAIL_LANES = {"bulk": {"backend": "django.core.mail.backends.console.EmailBackend"}}

    assert send().outcome == Outcome.ACCEPTED

    assert "It is due." in capsys.readouterr().out


def test_a_provider_without_its_key_keeps_the_installation_from_starting(
    provider: Provider, settings: Settings
) -> None:
    assert check_servers() == []
    settings.TASKYARD_EMAIL_LANES = {"bulk": {"backend": "anymail.backends.mailgun.EmailBackend"}}

    (error,) = check_servers()

    assert error.id == "notifications.E005"
    assert error.msg == "EMAIL_URL_BULK cannot be used: api_key is missing."
    assert "anymail+mailgun://?" in str(error.hint)
