"""The forms of a report: HTML for any mail reader, text, and CSV; none of them knows a section."""

import csv
import email
import io
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.utils.html import strip_tags
from playwright.sync_api import Browser

from reporting.documents.blocks import Bars, Block, Column, Heading, Link, Links, Note, Row, Sentence, Table
from reporting.documents.cells import Change, Count, Duration, Moment, Share, Text
from reporting.documents.document import Document, Part
from reporting.forms import NoSuchForm, forms, named
from reporting.forms.shape import Footer
from tests.reporting import full_week

HOSTILE = "=HYPERLINK(1)<script>alert(1)</script>"
FOOTER = Footer(web_url="https://t.example/r/1", unsubscribe_url="https://t.example/u/1", reason="You asked for it.")
TABLE = Table(
    columns=tuple(Column(title=title) for title in ("Task", "Times", "Rate", "Ran", "Since", "Change")),
    rows=(
        Row(
            cells=(
                Text(text=HOSTILE),
                Count(value=1_204, link="/admin/x/?a=1&b=2", is_pruned=True),
                Share(value=0.9996),
                Duration(microseconds=4_200_000),
                Moment(at=datetime(2026, 11, 9, 14, 5, tzinfo=UTC)),
                Change(now=3, before=2),
            )
        ),
    ),
    stacked=True,
)
BLOCKS: tuple[Block, ...] = (
    Heading(text="E-mails", beside="Ann"),
    Sentence(text="One sentence.", link="/admin/y/"),
    Note(text="Small print."),
    Bars(caption="By the day", labels=("Mon", "Tue"), values=(0, 7), links=("/admin/m/", "/admin/t/")),
    TABLE,
    Links(links=(Link(text="All", path="/admin/all/"),)),
)


def document(*blocks: Block) -> Document:
    return Document(
        report="weekly",
        title="Weekly report",
        period="2026-W46",
        period_words="Week 46 of 2026: 9 to 15 November 2026",
        subject="Taskyard week 46: 3 tasks finished, none failed",
        verdict="All 3 tasks accounted for.",
        built_at=datetime(2026, 11, 16, 9, tzinfo=UTC),
        notes=("It is late.",),
        parts=(Part(name="any", title="Anything", blocks=blocks or BLOCKS),),
    )


def render(form: str, of: Document | None = None) -> str:
    return named(form).render(of or document(), footer=FOOTER).decode()


class Page(HTMLParser):
    """The elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_another_name_is_answered_with_those_there_are() -> None:
    assert list(forms()) == ["csv", "html", "pdf", "text", "xlsx"]
    with pytest.raises(NoSuchForm, match="csv, html, pdf, text, xlsx"):
        named("docx")


@pytest.mark.parametrize("form", ["html", "text"])
def test_people_read_every_kind_of_block_and_cell(form: str, settings: Any) -> None:
    shown = render(form)

    for words in (
        "All 3 tasks accounted for.", "It is late.", "E-mails", "Ann", "One sentence.", "Small print.", "By the day",
        "1,204 †", "&gt;99.9%" if form == "html" else ">99.9%", "4.2 s", "9 Nov 2026, 14:05", "+50%",
        "no longer all kept", "You asked for it.", "https://t.example/u/1",
    ):  # fmt: skip
        assert words in shown


def test_the_html_suits_mail_readers(settings: Any) -> None:
    settings.SITE_URL = "https://tasks.example.com"
    html = render("html")
    page = Page(html)

    assert page.all("html") == [{"lang": "en"}]
    assert not page.all("img") + page.all("script") + page.all("link")
    assert all(cell.get("style") for cell in page.all("td") + page.all("th"))
    assert "prefers-color-scheme: dark" in html
    assert {"https://tasks.example.com/admin/x/?a=1&b=2", "https://tasks.example.com/admin/t/"} <= {
        link["href"] for link in page.all("a")
    }


def test_csv_has_a_line_for_each_figure_and_no_formula(settings: Any) -> None:
    settings.SITE_URL = "https://tasks.example.com"
    lines = list(csv.DictReader(io.StringIO(render("csv").removeprefix("\ufeff"))))
    figures = {line["column"]: line for line in lines if line["row"].startswith("'=")}

    assert {name: (line["value"], line["unit"]) for name, line in figures.items()} == {
        "Times": ("1204", "count"),
        "Rate": ("0.999600", "share"),
        "Ran": ("4.200000", "seconds"),
        "Since": ("2026-11-09T14:05:00+00:00", "moment"),
        "Change": ("0.500000", "share"),
    }
    assert figures["Times"]["note"] == "pruned"
    assert [line["value"] for line in lines if line["row"] == "By the day"] == ["0", "7"]


def test_a_pipeline_with_very_many_tasks_stays_below_what_gmail_shows() -> None:
    row = Row(cells=(Text(text="a_rather_long_name_" * 6), *(Count(value=7, link="/admin/" + "x" * 200),) * 4))
    table = Table(columns=tuple(Column(title=str(number)) for number in range(5)), rows=(row,) * 40, stacked=True)

    html = render("html", document(*(table,) * 8))

    assert len(html.encode()) < 100_000
    assert "…" in html


@pytest.mark.django_db
def test_a_mail_of_a_full_week_is_read_by_a_real_parser() -> None:
    full_week.happen(results=100)
    made = full_week.build()
    mail = EmailMultiAlternatives(made.subject, render("text", made), "a@example.com", ["b@example.com"])
    mail.attach_alternative(render("html", made), "text/html")

    read = email.message_from_bytes(mail.message().as_bytes(), policy=default)

    assert isinstance(read, EmailMessage)
    assert read["Subject"] == made.subject
    text, html = (read.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().split() == render("text", made).split()
    assert max(map(len, text.get_content().splitlines())) <= 72
    assert made.verdict in strip_tags(html.get_content())
    assert len(html.get_content().encode()) < 100_000


@pytest.mark.django_db
def test_it_fits_a_phone_and_a_desk_by_day_and_by_night(chromium: Browser, tmp_path: Path) -> None:
    for name in ("quiet", "full"):
        if name == "full":
            full_week.happen(results=100)
        file = tmp_path / f"{name}.html"
        file.write_text(render("html", full_week.build()))
        for width in (360, 1280):
            for scheme in ("light", "dark"):
                assert_fits(chromium, file, width=width, scheme=scheme)


def assert_fits(chromium: Browser, file: Path, *, width: int, scheme: Any) -> None:
    """Nothing reaches beyond the window, and text stands out from what is behind it."""
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    text, behind = page.evaluate(
        """() => ["h1", ".card"].map(name => {
            const found = getComputedStyle(document.querySelector(name));
            return (name === "h1" ? found.color : found.backgroundColor).match(/[0-9]+/g).slice(0, 3).map(Number);
        })"""
    )
    assert (sum(text) > sum(behind)) == (scheme == "dark")
    assert abs(sum(text) - sum(behind)) > 450
    context.close()
