"""``manage.py deliveries``: the same answers and decisions without a browser, and every slip told with its cure."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from notifications.tables import Delivery
from routing.ledger.tables import Message
from tests.notifications import delivery_specimens as specimens

pytestmark = pytest.mark.django_db
State = Delivery.State


@pytest.fixture
def said(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    def run(*words: str) -> str:
        call_command("deliveries", *words)
        return capsysbinary.readouterr().out.decode()

    return run


def test_list_answers_at_a_glance(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    specimens.refused()

    told = said("list", "ANN@example.org")

    assert "refused for good: 550 5.1.1 No such user" in told
    assert "1 delivery." in told
    assert said("list", "nobody@example.net").strip() == "There are no such deliveries."


def test_list_for_programs(said: Any) -> None:
    row = specimens.undecided()

    document = json.loads(said("list", "--state", "sending", "--json"))

    assert [(one["id"], one["undecided"]) for one in document["deliveries"]] == [(row.pk, True)]


def test_show_says_it_in_one_sentence_with_the_message(said: Any) -> None:
    row = specimens.sent(key="invoice:7")

    told = said("show", "invoice:7")

    assert "taken by smtp.example.org:587: 250 2.0.0 Ok: queued as 4F1b" in told
    assert "It is due." in told
    assert json.loads(said("show", str(row.pk), "--json"))["message"]["is_identical"] is True
    assert f"Message-ID: {row.message_id}" in said("show", row.message_id, "--source")


def test_resend_takes_what_went_wrong_unless_told_otherwise(said: Any) -> None:
    failed, sent = specimens.refused(), specimens.sent("ben@example.org")

    assert json.loads(said("resend", "--all", "--dry-run", "--json"))["matched"] == 1
    assert json.loads(said("resend", "--all", "--yes", "--json"))["done"] == {"to be sent again": 1}
    assert "were sent already" in said("resend", str(sent.pk), "--dry-run")

    failed.refresh_from_db()
    assert failed.state == State.PENDING


def test_cancel_and_decide(said: Any) -> None:
    specimens.delivery()
    row = specimens.undecided()

    assert "1  cancelled" in said("cancel", "--all", "--yes")
    assert "1  recorded as sent" in said("decide", str(row.pk), "--sent", "--yes")
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (("resend",), "or say --all"),
        (("resend", "--all", "--lane", "bulk"), "Leave out one"),
        (("resend", "--all", "--json"), "--dry-run or --yes"),
        (("decide", "--all"), "--sent --again"),
        (("list", "--state", "lost"), "choose from"),
        (("list", "--limit", "0"), "no number from 1"),
        (("list", "--older-than", "x"), "is no age"),
        (("list", "--older-than", "2d", "--newer-than", "1d"), "must be more than"),
        (("list", "--category", "x"), "choose from"),
        (("show", "nothing"), "names the newest"),
        (("list", "a\0b"), "NUL"),
    ],
)
def test_every_slip_is_told_with_its_cure(words: tuple[str, ...], cure: str) -> None:
    with pytest.raises(CommandError, match=cure):
        call_command("deliveries", *words)
