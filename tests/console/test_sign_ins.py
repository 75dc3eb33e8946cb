"""Signing in: a few attempts, the same however many at once, then clear words and a way back."""

import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.models.functions import Now
from django.test import Client
from pytest_django import Settings

from routing.console import sign_ins
from routing.console.sign_ins import TRIES, TRIES_OF_ALL, WINDOW, SignInAttempts

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = "/admin/login/"
RIGHT, WRONG = "correct horse battery", "wrong"
TOO_MANY = b"Too many attempts to sign in. Try again in 15 minutes"


@pytest.fixture(autouse=True)
def ada(settings: Settings) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_superuser("ada", password=RIGHT)


def sign_in(client: Client, password: str, *, name: str = "ada", **meta: str) -> bytes | None:
    """What the page says; None if it let us in."""
    answer = client.post(LOGIN, {"username": name, "password": password}, **meta)  # type: ignore[arg-type]
    return None if answer.status_code == 302 else answer.content


def command(*arguments: str) -> str:
    output = StringIO()
    call_command("sign_ins", *arguments, stdout=output)
    return output.getvalue()


def test_after_five_wrong_passwords_the_right_one_has_to_wait_too(client: Client) -> None:
    for number in range(TRIES):
        said = sign_in(client, WRONG, name="ADA" if number % 2 else "ada")
        assert said
        assert b"Too many" not in said

    said = sign_in(client, RIGHT)

    assert said
    assert TOO_MANY in said
    assert b"manage.py sign_ins unlock NAME" in said
    assert sign_in(client, RIGHT, REMOTE_ADDR="203.0.113.9") is None, "she is somewhere else, and no attacker"


def test_a_right_password_takes_the_attempts_away(client: Client) -> None:
    for _ in range(3):
        for _ in range(TRIES - 1):
            assert sign_in(client, WRONG)
        assert sign_in(client, RIGHT) is None
    assert not SignInAttempts.objects.exists()


def test_after_the_window_she_may_try_again(client: Client) -> None:
    for _ in range(TRIES + 1):
        sign_in(client, WRONG)
    SignInAttempts.objects.update(last_at=Now() - WINDOW - timedelta(seconds=1))

    assert sign_in(client, RIGHT) is None


def test_many_at_once_get_no_more_tries_than_one_after_the_other() -> None:
    barrier = threading.Barrier(8)
    allowed: list[bool] = []

    def attack() -> None:
        barrier.wait(10)
        try:
            allowed.extend(sign_ins.attempt("ada", "203.0.113.9") is None for _ in range(3))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=attack) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(allowed) == 24
    assert sum(allowed) == TRIES


@pytest.mark.parametrize("spread", ["addresses", "names"])
def test_many_addresses_and_many_names_are_one_attack(spread: str) -> None:
    def at(number: int) -> tuple[str, str]:
        return ("ada", f"203.0.113.{number}") if spread == "addresses" else (f"name-{number}", "203.0.113.9")

    allowed = [sign_ins.attempt(*at(number)) is None for number in range(TRIES_OF_ALL + 5)]

    assert allowed.count(True) == TRIES_OF_ALL
    assert SignInAttempts.objects.count() == TRIES_OF_ALL, "and what is refused fills no table"


def test_behind_a_proxy_what_it_wrote_down_counts_and_nothing_made_up(client: Client, settings: Settings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    for number in range(TRIES):
        sign_in(client, WRONG, HTTP_X_FORWARDED_FOR=f"198.51.100.{number}, 203.0.113.9")

    assert [row.address for row in sign_ins.refused()] == ["203.0.113.9"]


def test_without_a_proxy_its_header_is_not_believed(client: Client) -> None:
    for number in range(TRIES):
        sign_in(client, WRONG, HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")

    assert [row.address for row in sign_ins.refused()] == ["127.0.0.1"]


def test_the_command_shows_who_waits_and_unlocks(client: Client) -> None:
    assert command() == "Nobody has to wait.\n"
    for name in ("ada", RIGHT):
        for _ in range(TRIES):
            sign_in(client, WRONG, name=name)

    said = command()

    assert "ada, from 127.0.0.1: 5 attempts, has to wait 1" in said
    assert "a name that nobody has" in said, "it may be a password"
    assert RIGHT not in said + command("--json")
    assert "They may try again" in command("unlock", "Ada")
    assert sign_in(client, RIGHT) is None
    assert "Nobody had to wait there" in command("unlock", "ben")
    with pytest.raises(CommandError, match="Say whose attempts to forget"):
        command("unlock")


def test_old_attempts_are_not_kept(client: Client) -> None:
    sign_in(client, WRONG, name="ben")
    SignInAttempts.objects.update(last_at=Now() - sign_ins.KEPT - timedelta(seconds=1))

    sign_in(client, WRONG)

    assert SignInAttempts.objects.count() == 1
