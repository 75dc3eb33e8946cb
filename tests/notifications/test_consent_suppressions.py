"""The suppression list: what it holds back, and that lifting one stays on record."""

import pytest

from notifications.addresses import InvalidAddress
from notifications.consent import blame, suppression_list
from notifications.consent.suppression_list import lift, suppress, suppressions
from notifications.consent.tables import Suppression
from notifications.delivering import Refused
from tests.notifications.consenting import ANN, letter, run, sent
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db
Reason = Suppression.Reason


@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.BOUNCED, Reason.BY_HAND])
@pytest.mark.parametrize("category", ["account", "news"])
def test_nothing_is_sent_to_an_address_that_cannot_be_reached(
    mail_server: MailServer, reason: str, category: str
) -> None:
    suppress(ANN, reason=reason)

    assert run(letter(category=category))["reason"] == reason
    assert not mail_server.deliveries


def test_who_has_complained_gets_what_is_required_and_nothing_else(mail_server: MailServer) -> None:
    suppress(ANN, reason=Reason.COMPLAINED)

    assert run(letter(category="news"))["reason"] == "complained"
    sent(mail_server, category="account")


def test_a_bounce_weighs_more_than_a_complaint(mail_server: MailServer) -> None:
    suppress(ANN, reason=Reason.COMPLAINED)
    suppress(ANN, reason=Reason.BOUNCED)

    assert run(letter(category="account"))["reason"] == "bounced"


def test_an_address_is_suppressed_in_any_spelling_and_once() -> None:
    first, is_new = suppress("Ann Example <Ann@EXAMPLE.org>", detail="she asked", by="ada")
    again, is_again_new = suppress(ANN)

    assert (first.pk, is_new, is_again_new) == (again.pk, True, False)
    assert (again.detail, again.created_by) == ("she asked", "ada")


def test_what_is_lifted_stays_on_record_and_can_come_back(mail_server: MailServer) -> None:
    suppress(ANN, reason=Reason.BOUNCED)

    assert lift(ANN, by="ada", because="Her mailbox is back.") == 1
    assert lift(ANN, by="ben") == 0

    sent(mail_server)
    row = Suppression.objects.get()
    assert (row.lifted_by, row.lifted_because) == ("ada", "Her mailbox is back.")
    assert suppress(ANN, reason=Reason.BOUNCED)[1]
    assert suppressions(ANN, with_lifted=True).count() == 2


def test_one_reason_is_lifted_without_the_others() -> None:
    suppress(ANN, reason=Reason.COMPLAINED)
    suppress(ANN, reason=Reason.BOUNCED)

    lift(ANN, reason=Reason.BOUNCED, by="ada")

    assert suppression_list.reasons(ANN, channel="email") == {"complained"}


@pytest.mark.parametrize("address", ["", "ann", "a@b@c", "ann@example.org\r\nBcc: x@example.org", "\0@example.org"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidAddress):
        suppress(address)

    assert not Suppression.objects.exists()


def test_a_channel_that_there_is_not_is_refused() -> None:
    with pytest.raises(LookupError, match="use one of email"):
        suppress(ANN, channel="pigeon")


def test_a_server_that_blames_the_address_suppresses_it_once(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "550 5.1.1 No such user"}

    with pytest.raises(Refused):
        run(letter(category="account"))

    row = Suppression.objects.get()
    assert (row.reason, row.address_key) == ("refused", ANN)
    assert "5.1.1" in row.detail
    assert run(letter(category="account"))["state"] == "suppressed"


@pytest.mark.parametrize("answer", ["550 5.7.1 Message rejected as spam", "552 5.2.2 Mailbox full"])
def test_a_server_that_blames_something_else_suppresses_nothing(mail_server: MailServer, answer: str) -> None:
    mail_server.to_recipient = {ANN: answer}

    with pytest.raises(Refused):
        run(letter())

    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("status", "said", "blames"),
    [
        ("5.1.1", "550 5.1.1 whatever", True),
        ("5.1.10", "556 5.1.10 Null MX", True),
        ("5.7.1", "550 5.7.1 user unknown to our reputation system", False),
        ("5.2.2", "552 5.2.2 Mailbox full", False),
        ("5.1.8", "550 5.1.8 Bad sender address", False),
        ("4.4.7", "delivery time expired", False),
        ("5.0.0", "550 No such user", True),
        ("5.0.0", "550 rejected for policy reasons", False),
        ("", "550 Unknown user", True),
        ("", "550 User bob@example.org does not exist", True),
        ("", "554 No such user", False),
        ("", "550 Blocked, see 5.1.1.23", False),
        ("", "", False),
    ],
)
def test_only_what_can_mean_nothing_else_blames_the_address(status: str, said: str, blames: bool) -> None:
    assert blame.blames(status, said) is blames
