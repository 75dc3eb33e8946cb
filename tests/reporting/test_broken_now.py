"""The daily digest of what is broken: what it names, and that nobody is told of nothing."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from reporting.days import Day, NoSuchDay
from reporting.documents.blocks import Sentence, Table
from reporting.documents.cells import Count, Tone
from reporting.documents.document import Document
from reporting.reports import named
from reporting.sections.open_letters import OpenLetters
from reporting.sections.shape import Scope
from routing.ledger import pauses
from tests.reporting.full_week import letter

pytestmark = pytest.mark.django_db(transaction=True)

REPORT = named("broken-now")


def build(*domains: str) -> Document:
    now = timezone.now()
    return REPORT.build(REPORT.period_of(now), now=now, domains=frozenset(domains) or None)


def sentences(document: Document, name: str) -> str:
    blocks = [block for part in document.parts if part.name == name for block in part.blocks]
    return " ".join(block.text for block in blocks if isinstance(block, Sentence))


def test_it_names_what_does_not_work_waits_and_is_paused(admin_client: Client) -> None:
    letter("TimeoutError: timed out", count=2)
    letter("KeyError: 'x'", state="replayed")
    pauses.pause("notifications", by="ann", reason="The provider is down")

    document = build()

    # No beat and no relay runs in a test.
    assert "No beat runs" in sentences(document, "wrong")
    assert "No relay runs" in sentences(document, "wrong")
    assert "by ann: The provider is down" in sentences(document, "paused")
    (table,) = [block for part in document.parts for block in part.blocks if isinstance(block, Table)]
    (row,) = table.rows
    assert isinstance(row.cells[1], Count)
    assert row.cells[1].value == 2
    assert admin_client.get(row.cells[1].link).context["cl"].result_count == 2
    assert "2 failed tasks wait for a decision" in document.verdict
    assert REPORT.is_worth_sending(document)


def test_one_domain_does_not_hear_of_anothers_queues_and_letters() -> None:
    letter("TimeoutError: timed out")
    pauses.pause("notifications", by="ann", reason="The provider is down")

    document = build("reporting")

    assert "notifications" not in sentences(document, "wrong") + sentences(document, "paused")
    assert "failed task" not in document.verdict


def test_that_nothing_is_broken_is_worth_no_mail() -> None:
    scope = Scope(period=Day.of(timezone.now()), now=timezone.now())

    document = REPORT.conclude(scope, ())

    assert (document.verdict, document.tone) == ("Nothing is broken.", Tone.GOOD)
    assert not REPORT.is_worth_sending(document)
    assert not list(OpenLetters().blocks(scope))


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "2026-W46", "9999-12-31", ""])
def test_a_day_that_is_none_names_the_cure(text: str) -> None:
    with pytest.raises(NoSuchDay, match="such as 2026-11-16"):
        REPORT.parse_period(text)


def test_a_day_has_as_many_hours_as_its_clock(settings: object) -> None:
    settings.TIME_ZONE = "Europe/Paris"  # type: ignore[attr-defined]
    lengths = [Day.parse(text).ends_at.timestamp() - Day.parse(text).starts_at.timestamp() for text in (
        "2026-10-25", "2026-03-29", "2026-11-16"
    )]  # fmt: skip

    assert [timedelta(seconds=length) for length in lengths] == [timedelta(hours=hours) for hours in (25, 23, 24)]
