"""Environment variables, right and wrong."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.environment import Environment


def test_a_postgresql_url_becomes_a_django_database() -> None:
    database = Environment({"D": "postgresql://me:p%40ss@db.example.com:5433/tasks"}).database("D", "")

    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example.com", 5433, "tasks")
    assert (database["USER"], database["PASSWORD"]) == ("me", "p@ss")


@pytest.mark.parametrize(
    ("url", "port", "tls", "ssl"),
    [
        ("smtp://mail.example.com", 25, False, False),
        ("smtp+tls://me:secret@mail.example.com:587", 587, True, False),
        ("smtps://me:secret@mail.example.com", 465, False, True),
    ],
)
def test_an_smtp_url_becomes_djangos_email_settings(url: str, port: int, tls: bool, ssl: bool) -> None:
    settings = Environment({"E": url}).email("E", "")

    assert settings["EMAIL_HOST"] == "mail.example.com"
    assert settings["EMAIL_PORT"] == port
    assert settings.get("EMAIL_USE_TLS", False) is tls
    assert settings.get("EMAIL_USE_SSL", False) is ssl


def test_mail_goes_to_files_below_the_given_folder() -> None:
    assert Environment({}).email("E", "filemail:////srv/mail")["EMAIL_FILE_PATH"] == "/srv/mail"


@pytest.mark.parametrize(
    ("reader", "value", "cure"),
    [
        ("boolean", "maybe", "use 1 or 0"),
        ("integer", "many", "use a whole number, at least 0"),
        ("integer", "-1", "at least 0"),
        ("port", "70000", "from 1 to 65535"),
        ("choice", "yaml", "use one of text, json"),
        ("contact", "the office", "use an e-mail address, or one that begins with https://"),
        ("contact", "javascript:alert(1)", "use an e-mail address"),
        ("time_zone", "Mars/Olympus", "Europe/Paris"),
        ("database", "mysql://host/name", "use postgresql://"),
        ("database", "postgresql://host:port/name", "use postgresql://"),
        ("database", "postgresql://host", "names no database"),
        ("database", "sqlite://", "names no database"),
        ("email", "imap://host", "use smtp://"),
        ("email", "smtp://", "names no host"),
        ("broker", "redis://localhost", "use amqp://"),
        ("broker", "amqp://good//;http://bad", "use amqp://"),
    ],
)
def test_a_wrong_value_names_the_variable_and_the_cure(reader: str, value: str, cure: str) -> None:
    options: dict[str, Any] = {"default": "text"}
    if reader == "choice":
        options["choices"] = ("text", "json")

    with pytest.raises(ImproperlyConfigured) as error:
        getattr(Environment({"NAME": value}), reader)("NAME", **options)

    assert str(error.value).startswith("NAME=")
    assert cure in str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        "hooks.example.com/a-secret",
        "https://",
        "file:///etc/a-secret",
        "https://ann:a-secret@example.com/",
        "https://x.example.com/a-secret b",
        "https://x.example.com:99999/a-secret",
    ],
)
def test_an_address_to_send_to_that_cannot_be_used_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="NAME='\\*\\*\\*' cannot be used; use an address such as") as error:
        Environment({"NAME": value}).address_of_web("NAME")

    assert "a-secret" not in str(error.value)
    assert Environment({"NAME": "https://x.example.com/a-secret"}).address_of_web("NAME").endswith("/a-secret")


def test_addresses_are_separated_by_spaces_or_commas() -> None:
    value = "ann@example.com, ben@example.com cy@example.com"
    assert Environment({"NAME": value}).addresses("NAME") == [f"{name}@example.com" for name in ("ann", "ben", "cy")]

    with pytest.raises(ImproperlyConfigured, match="'ops' is no e-mail address"):
        Environment({"NAME": "ann@example.com ops"}).addresses("NAME")


def test_networks_are_separated_by_spaces_or_commas() -> None:
    found = Environment({"NAME": "10.20.0.0/16, fd00:20::/32 10.0.0.7"}).networks("NAME")
    assert [str(network) for network in found] == ["10.20.0.0/16", "fd00:20::/32", "10.0.0.7/32"]
    assert Environment({}).networks("NAME") == []

    with pytest.raises(ImproperlyConfigured, match=r"NAME=.* '10.20.0.7/16' is no network. Use such as 10.20.0.0/16"):
        Environment({"NAME": "10.20.0.7/16"}).networks("NAME")


def test_a_providers_url_becomes_settings_of_anymail() -> None:
    url = "anymail+mailgun://?api_key=k%26y&sender_domain=mg.example.org"

    assert Environment({"E": url}).email("E", "") == {
        "EMAIL_BACKEND": "anymail.backends.mailgun.EmailBackend",
        "ANYMAIL": {"MAILGUN_API_KEY": "k&y", "MAILGUN_SENDER_DOMAIN": "mg.example.org"},
    }


def test_a_lane_may_have_an_email_url_of_its_own() -> None:
    variables = {
        "EMAIL_URL": "smtp://mail.example.com",
        "EMAIL_URL_URGENT": "smtps://me:p%40ss@fast.example.com",
        "EMAIL_URL_BULK": "anymail+postmark://?server_token=t",
        "EMAIL_URL_DEFAULT": "filemail:////srv/mail",
        "EMAIL_URL_OLD": "",
    }

    assert Environment(variables).email_lanes("EMAIL_URL_", ["default", "urgent", "bulk"]) == {
        "bulk": {"backend": "anymail.backends.postmark.EmailBackend", "server_token": "t"},
        "default": {"backend": "django.core.mail.backends.filebased.EmailBackend", "file_path": "/srv/mail"},
        "urgent": {
            "backend": "django.core.mail.backends.smtp.EmailBackend",
            "host": "fast.example.com",
            "port": 465,
            "username": "me",
            "password": "p@ss",
            "use_tls": False,
            "use_ssl": True,
        },
    }


def test_an_email_url_for_a_lane_that_is_none_is_an_error() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"EMAIL_URL_BULCK names no lane .*use one of EMAIL_URL_BULK"):
        Environment({"EMAIL_URL_BULCK": "smtp://host"}).email_lanes("EMAIL_URL_", ["bulk"])


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("anymail+mailgum://?api_key=hunter2", "knows no such provider"),
        ("anymail+../x://?api_key=hunter2", "knows no such provider"),
        ("anymail+mailgun://hunter2@host", "behind a question mark, such as anymail\\+mailgun://"),
        ("anymail+mailgun://", "behind a question mark"),
        ("anymail://?api_key=hunter2", "use smtp://host:25"),
    ],
)
def test_a_wrong_url_of_a_provider_names_the_cure_and_no_key(url: str, cure: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=cure) as error:
        Environment({"E": url}).email("E", "")

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("url", ["mysql://me:hunter2@host/name", "me:hunter2@host/name", "mysql://me:hunter2:3@host"])
def test_a_wrong_url_does_not_show_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        Environment({"D": url}).database("D", "")

    assert "hunter2" not in str(error.value)
    assert "me:***@host" in str(error.value)


def test_what_the_database_url_asks_for_is_kept() -> None:
    url = "postgresql://me@db.example.com/tasks?sslmode=verify-full"
    show = "from project import settings; print(settings.DATABASES['default']['OPTIONS'])"

    done = subprocess.run(
        [sys.executable, "-c", show],
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "'sslmode': 'verify-full'" in done.stdout


@pytest.mark.parametrize("value", ["short", "0123456789abcdef\n", "0123456789 abcdef", "0123456789abcdéf"])
def test_a_token_that_no_header_can_carry_or_anybody_guess_is_refused_unshown(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="TASKYARD_METRICS_TOKEN cannot be used") as refused:
        Environment({"TASKYARD_METRICS_TOKEN": value}).secret("TASKYARD_METRICS_TOKEN")
    assert value not in str(refused.value)


def test_a_token_is_taken_as_it_is_and_may_be_left_out() -> None:
    assert Environment({"T": "0123456789abcdef.+/=-"}).secret("T") == "0123456789abcdef.+/=-"
    assert Environment({}).secret("T") == ""


def test_a_mistake_in_the_settings_is_told_whatever_has_read_them_by_then() -> None:
    """What they import must not read them: half made, they would be taken for whole."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "TASKYARD_REPLICAS": "reporting"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode != 0
    assert "use names and whole numbers" in done.stderr
