"""What waits for somebody to decide is told where people and probes look."""

import pytest
from django.test import Client
from django.utils import translation

from notifications import deciding, noticing
from routing.console import lives
from tests.notifications import delivery_specimens as specimens

pytestmark = pytest.mark.django_db


def test_undecided_deliveries_are_told_until_somebody_decides() -> None:
    row = specimens.undecided()
    specimens.undecided("ben@example.org")

    (told,) = noticing.told()
    assert told.sentence.startswith("2 deliveries may have been sent, and somebody has to decide. In the admin")
    assert "example.org" not in told.public

    deciding.decide(row, was_sent=True, by="ada")
    assert next(noticing.told()).public.startswith("1 delivery may")


def test_whoever_reads_it_reads_their_own_language() -> None:
    """A thread looks, once for readers of any language."""
    specimens.undecided()

    (told,) = noticing.told()

    with translation.override("fr"):
        assert str(told.public).startswith("1 envoi peut être parti")
        assert str(told.sentence).startswith(str(told.public))
    assert told.public.startswith("1 delivery may")


def test_nothing_is_told_where_nothing_waits() -> None:
    specimens.sent()
    specimens.delivery()

    assert list(noticing.told()) == []


def test_the_survey_looks_at_them() -> None:
    specimens.undecided()

    assert [one.subject for one in lives.look().told if one.subject == "undecided deliveries"]


def test_more_than_are_counted_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noticing, "MOST", 1)
    specimens.undecided()
    specimens.undecided("ben@example.org")

    assert next(noticing.told()).public.startswith("1 and more deliveries")


@pytest.mark.broker
@pytest.mark.django_db(transaction=True)
def test_the_start_page_says_so(admin_client: Client, clean_broker: object) -> None:
    specimens.undecided()

    assert "1 delivery may have been sent" in admin_client.get("/admin/").content.decode()
