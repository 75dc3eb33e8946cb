"""The weekly report: what it says of a full week, of an empty one, and of weeks that are not like others."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from reporting.documents.blocks import Bars, Link, Sentence, Table
from reporting.documents.cells import Count, Text
from reporting.documents.document import Document
from reporting.forms import words
from reporting.forms.html import HtmlForm
from reporting.periods import NoSuchPeriod
from reporting.reports import NoSuchReport, named, reports
from reporting.sections import failures
from reporting.sections.shape import Scope
from reporting.weeks import Week
from routing.console.period_filters import between
from routing.ledger.schedule_tables import ScheduleSlot
from routing.ledger.tables import Message, Tally
from tests.reporting import full_week
from tests.reporting.full_week import AFTER, WEEK
from tests.stored_results import in_flight, store

pytestmark = pytest.mark.django_db


def tables(document: Document, name: str) -> list[Table]:
    return [block for part in document.parts if part.name == name for block in part.blocks if isinstance(block, Table)]


def figures(document: Document) -> Iterator[tuple[str, int]]:
    """Each figure that leads to its rows: where, and how many there should be."""
    for lead in document.leads:
        yield lead.path, int(re.sub(r"\D", "", lead.text.partition(" in ")[0]))
    for part in document.parts:
        for block in part.blocks:
            if isinstance(block, Table):
                for row in block.rows:
                    yield from ((cell.link, cell.value) for cell in row.cells if isinstance(cell, Count) and cell.link)
            elif isinstance(block, Bars):
                yield from zip(block.links, block.values, strict=True)
            elif isinstance(block, Sentence) and block.link:
                # Of the numbers in it, the last: "0 lost of 604 tasks", "1 other entry was due 7 times".
                yield block.link, int(re.findall(r"[\d,]+", block.text.replace("once", "1"))[-1].replace(",", ""))


def test_each_figure_leads_to_as_many_rows_as_it_says(admin_client: Client) -> None:
    full_week.happen(results=200)
    before = (WEEK.previous().starts_at, WEEK.starts_at)
    found = list(figures(full_week.build()))

    shown = {link: shown_at(admin_client, link) for link, _ in found}

    assert [(link, shown[link]) for link, _ in found] == found
    assert len(found) > 70
    for kind in (
        "tried=again",
        "removed=results",
        "by=finished",
        "due=",
        "but=",
        f"within={quote(between(*before), safe='')}",
    ):
        assert any(kind in link and value for link, value in found)


@pytest.mark.parametrize("waiting", [0, 3])
@pytest.mark.parametrize("domains", [{"reporting"}, {"notifications", "reporting"}, {"maintenance", "notifications"}])
def test_figures_of_some_domains_lead_to_their_rows_alone(
    admin_client: Client, domains: set[str], waiting: int
) -> None:
    full_week.happen(results=200)
    Message.objects.all().delete()
    for task in ("notifications.send_email", "reporting.weekly", "maintenance.prune", "celery.chunks")[: waiting + 1]:
        for _ in range(waiting):
            in_flight(task, created_at=WEEK.ends_at - timedelta(days=1))
            in_flight(task, created_at=WEEK.ends_at + timedelta(hours=1))
    found = list(figures(full_week.build(domains=frozenset(domains))))

    shown = {link: shown_at(admin_client, link) for link, _ in found}

    assert [(link, shown[link]) for link, _ in found] == found
    kinds = ("domain=reporting",) if "reporting" in domains else ("domain=notifications", "of=maintenance")
    for kind in ("by=finished", *kinds):
        assert any(kind in link and value for link, value in found)


def test_what_is_lost_has_no_rows_and_so_their_sum_leads_nowhere() -> None:
    store(done_at=WEEK.starts_at)
    Tally.objects.create(domain="notifications", accepted=2)

    (sentence,) = (block for part in full_week.build().parts for block in part.blocks if isinstance(block, Sentence)
                   and part.name == "books")  # fmt: skip

    assert (sentence.text, sentence.link) == ("2 lost of 3 tasks.", "")


def shown_at(client: Client, link: str) -> int:
    """Rows of the list, or what they add up to where the figure is of that."""
    context = client.get(link).context
    if "shown" in context:
        return int(context["shown"].count.number) if context["shown"].count.exact else -1
    page = context["cl"]
    if "removed=" in link:
        return int(page.removed)
    return int(page.retries if "tried=" in link else page.result_count)


def test_what_was_due_in_time_leads_to_its_slots(admin_client: Client) -> None:
    for day in range(3):
        at = WEEK.starts_at + timedelta(days=day)
        ScheduleSlot.objects.create(entry="clean-up", due_at=at, decided_at=at)
    ScheduleSlot.objects.create(entry="clean-up", due_at=at + timedelta(hours=1), decided_at=at, asked_by="ann")

    (sentence,) = next(part.blocks for part in full_week.build().parts if part.name == "schedule")

    assert isinstance(sentence, Sentence)
    assert sentence.text == "The one entry that was due was so 3 times, and was always fired in time."
    assert shown_at(admin_client, sentence.link) == 3


def test_what_was_due_beside_a_late_entry_leads_to_its_own_slots(admin_client: Client) -> None:
    at = WEEK.starts_at
    for number in range(3):
        ScheduleSlot.objects.create(entry="clean-up", due_at=at + timedelta(days=number), decided_at=at)
    for odd in ("late, by 5 %", "also/late & odd"):
        ScheduleSlot.objects.create(entry=odd, due_at=at, decided_at=at + timedelta(hours=1))

    table, sentence = next(part.blocks for part in full_week.build().parts if part.name == "schedule")

    assert isinstance(table, Table)
    assert isinstance(sentence, Sentence)
    assert len(table.rows) == 2
    assert sentence.text == "1 other entry was due 3 times, and was always fired in time."
    assert shown_at(admin_client, sentence.link) == 3


def test_the_books_are_by_domain() -> None:
    store(done_at=WEEK.starts_at)
    in_flight("reporting.weekly", created_at=WEEK.starts_at)
    Tally.objects.create(domain="reporting", accepted=1)

    document = full_week.build()

    (table,) = tables(document, "books")
    rows = [[cell.text if isinstance(cell, Text) else cell.value for cell in row.cells] for row in table.rows]  # type: ignore[union-attr]
    assert rows == [["Notifications", 1, 0, 0], ["Reporting", 0, 1, 0]]


def test_every_figure_has_a_link_or_says_that_its_rows_are_gone() -> None:
    full_week.happen(results=200)

    for weeks in (0, 3, 80):
        document = named("weekly").build(WEEK, now=AFTER + timedelta(weeks=weeks))

        without = [(table, row) for part in document.parts for table in part.blocks if isinstance(table, Table)
                   for row in table.rows for cell in row.cells
                   if isinstance(cell, Count) and cell.value and not cell.link and not cell.is_pruned]  # fmt: skip
        assert not without


@pytest.mark.parametrize("zone", ["Europe/Paris", "Asia/Kolkata", "America/New_York"])
def test_figures_lead_to_their_rows_in_any_time_zone(admin_client: Client, settings: Any, zone: str) -> None:
    settings.TIME_ZONE = zone
    week = Week(2026, 43)
    for hours in range(-26, 27):
        store(done_at=week.starts_at + timedelta(hours=hours, minutes=15))
        store(done_at=week.ends_at + timedelta(hours=hours, minutes=15))
        in_flight(created_at=week.ends_at + timedelta(hours=hours, minutes=15))

    for link, value in figures(full_week.build(week)):
        assert shown_at(admin_client, link) == value


def test_causes_are_told_apart_by_what_they_did_before() -> None:
    full_week.happen(results=0)
    scope = Scope(period=WEEK, now=AFTER)

    assert [
        (cause.error.partition(":")[0], cause.state, cause.now, cause.before) for cause in failures.causes(scope)
    ] == [
        ("SMTPServerDisconnected", failures.NEW, 3, 0),
        ("TimeoutError", failures.REGRESSED, 2, 0),
        ("SMTPDataError", failures.ESCALATING, 9, 3),
        ("KeyError", failures.RESOLVED, 0, 4),
    ]


def test_a_document_survives_storing() -> None:
    full_week.happen(results=50)
    document = full_week.build()

    assert Document.from_json(json.loads(json.dumps(document.as_json()))) == document


def test_what_a_later_release_adds_to_a_document_is_passed_over() -> None:
    kept = full_week.build().as_json() | {"mood": "cheerful"}

    assert Document.from_json(kept) == full_week.build()


def test_an_empty_week_is_short_and_friendly() -> None:
    document = full_week.build()

    assert document.verdict == "A quiet week, in which no task ran and nothing could go wrong."
    assert document.subject == "Taskyard week 46: no task finished"
    assert document.tone == "good"
    assert [part.name for part in document.parts] == ["clean-ups"]


@pytest.mark.parametrize(
    ("finished", "failed", "waiting", "verdict"),
    [
        (1, 0, 0, "The one task is accounted for."),
        (300, 0, 0, "All 300 tasks accounted for."),
        (300, 1, 0, "All 301 tasks accounted for; 1 failed, in Notifications."),
        (3, 0, 1, "1 of 4 tasks is still unfinished, and none is lost."),
        (
            98,
            2,
            0,
            "All 100 tasks accounted for; 2 failed, in Notifications; Notifications missed its target on Monday.",
        ),
    ],
)
def test_the_verdict_is_one_plain_sentence(finished: int, failed: int, waiting: int, verdict: str) -> None:
    for number in range(finished + failed):
        store(done_at=WEEK.starts_at, status="FAILURE" if number < failed else "SUCCESS")
    for _ in range(waiting):
        in_flight(created_at=WEEK.starts_at)
    Tally.objects.create(domain="notifications", accepted=waiting)

    document = full_week.build()

    assert document.verdict == verdict
    assert document.tone == ("good" if finished and not failed + waiting else "bad")


@pytest.mark.parametrize(
    ("finished", "failed", "waiting", "leads"),
    [
        (1, 0, 0, ["one task"]),
        (299, 1, 0, ["300 tasks", "1 failed"]),
        (3, 0, 1, ["1", "4 tasks"]),
        (2, 2, 2, ["2", "6 tasks", "2 failed"]),
    ],
)
def test_the_verdict_leads_to_what_it_counts(finished: int, failed: int, waiting: int, leads: list[str]) -> None:
    for number in range(finished + failed):
        store(done_at=WEEK.starts_at, status="FAILURE" if number < failed else "SUCCESS")
    for _ in range(waiting):
        in_flight(created_at=WEEK.starts_at)
    Tally.objects.create(domain="notifications", accepted=waiting)

    document = full_week.build()

    pieces = document.verdict_in_pieces()
    assert "".join(piece.text for piece in pieces) == document.verdict
    assert [piece.text for piece in pieces if piece.path] == leads
    for piece in pieces:
        assert (
            not piece.path
            or f'<a href="{html.escape(words.whole(piece.path))}"' in HtmlForm().render(document).decode()
        )


def test_each_place_of_failures_leads_to_them() -> None:
    full_week.happen(results=600)
    document = full_week.build()

    linked = [piece.text for piece in document.verdict_in_pieces() if piece.path]

    failed = document.verdict.partition("lost; ")[2].partition(";")[0]
    assert "in tasks of no domain" in failed
    assert linked[2:] == re.split(": |, | and ", failed)


def test_a_number_is_not_looked_for_within_a_longer_one() -> None:
    leads = (Link(text="1 failed", path="/failed"), Link(text="2", path="/two"))
    document = replace(full_week.build(), verdict="11 failed, 1 failed; 1,002 and 2", leads=leads)

    assert [(piece.text, piece.path) for piece in document.verdict_in_pieces()] == [
        ("11 failed, ", ""), ("1 failed", "/failed"), ("; 1,002 and ", ""), ("2", "/two"),
    ]  # fmt: skip


def test_rows_that_are_gone_and_domains_of_others_have_no_lead() -> None:
    store(done_at=WEEK.starts_at, status="FAILURE")

    long_after = AFTER + timedelta(days=3650)
    assert not named("weekly").build(WEEK, now=long_after, domains=None).leads
    assert not [lead for lead in full_week.build(domains=frozenset({"reporting"})).leads if "domain" in lead.path]


def test_a_loss_comes_before_anything_else() -> None:
    store(done_at=WEEK.starts_at)
    Tally.objects.create(domain="notifications", accepted=2)

    document = full_week.build()

    assert document.verdict == "2 of 3 tasks are lost."
    assert document.subject == "Taskyard week 46: 2 tasks lost"


def test_one_domain_alone_hears_of_no_other() -> None:
    full_week.happen(results=100)

    document = full_week.build(domains=frozenset({"reporting"}))

    assert document.domains == ("reporting",)
    assert "otifications" not in json.dumps(document.as_json()).replace("console/", "")


@pytest.mark.parametrize(
    ("week", "zone", "hours"),
    [
        (Week(2026, 43), "Europe/Paris", 169),
        (Week(2027, 12), "Europe/Paris", 167),
        (Week(2026, 53), "UTC", 168),
    ],
)
def test_a_week_counts_what_finished_in_its_local_days(settings: Any, week: Week, zone: str, hours: int) -> None:
    settings.TIME_ZONE = zone
    begin, moment = week.starts_at.astimezone(UTC), timedelta(microseconds=1)
    for done_at in (begin - moment, begin, begin + timedelta(hours=hours) - moment, begin + timedelta(hours=hours)):
        store(done_at=done_at)

    (table,) = tables(full_week.build(week), "domains")

    assert [cell.value for cell in table.rows[0].cells if isinstance(cell, Count)] == [2, 1]


def test_a_report_that_is_made_late_or_early_says_so() -> None:
    report = named("weekly")

    (early,) = report.build(WEEK, now=WEEK.starts_at + timedelta(days=2)).notes
    (late,) = report.build(WEEK, now=WEEK.ends_at + timedelta(days=2)).notes

    assert early.startswith("The week is not over: these are its figures of 11 Nov 2026, 00:00")
    assert late == "This report is late: it was made on 18 Nov 2026, 00:00, and its week ended on 16 Nov 2026, 00:00."
    assert full_week.build().notes == ()


def test_hours_that_begin_at_half_past_are_told(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"

    (note,) = full_week.build().notes

    assert "the week is taken from 8 Nov 2026, 23:30 to 15 Nov 2026, 23:30" in note


def test_a_figure_whose_rows_are_pruned_says_so_instead_of_leading_to_them() -> None:
    store(done_at=WEEK.starts_at)

    document = named("weekly").build(WEEK, now=WEEK.ends_at + timedelta(days=40))

    cell = tables(document, "domains")[0].rows[0].cells[1]
    assert isinstance(cell, Count)
    assert (cell.value, cell.is_pruned, cell.link) == (1, True, "")


def test_a_week_to_come_is_refused_with_the_one_that_can_be_had() -> None:
    with pytest.raises(NoSuchPeriod, match=r"lies in the future\. The last whole one is 2026-W45"):
        named("weekly").build(WEEK.next(), now=datetime(2026, 11, 10, tzinfo=UTC))


def test_an_unknown_report_is_answered_with_those_there_are() -> None:
    with pytest.raises(NoSuchReport, match="broken-now, weekly"):
        named("monthly")
    assert list(reports()) == ["broken-now", "weekly"]


def test_names_are_shortened_where_somebody_wrote_a_novel() -> None:
    store("notifications." + "x" * 240, done_at=WEEK.starts_at, took=timedelta(minutes=1))

    (table,) = tables(full_week.build(), "slowest")

    name = table.rows[0].cells[0]
    assert isinstance(name, Text)
    assert len(name.text) == 100
