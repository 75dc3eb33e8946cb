"""The workbook of a report, opened again: the figures of the CSV, each as what it is, and nothing that is a formula."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from django.utils import timezone

from reporting.documents.blocks import Column, Note, Row, Table
from reporting.documents.cells import Count, Duration, Moment, Share, Text
from reporting.documents.document import Document, Part
from reporting.forms import named
from tests.reporting import full_week
from tests.reporting.test_forms import HOSTILE, document

pytestmark = pytest.mark.any_database

UNITS = {
    "#,##0": "count",
    '#,##0" †"': "count",
    "0.0%": "share",
    "0.0000%": "share",
    "+0%;-0%;0%": "share",
    "[h]:mm:ss.000": "seconds",
    "yyyy-mm-dd hh:mm:ss": "moment",
}
Figure = tuple[str, str, str, str, str, str]
"""Section, heading, row, column, value and unit, as the CSV has them."""


def book(of: Document) -> Any:
    return openpyxl.load_workbook(io.BytesIO(named("xlsx").render(of)))


def sheet(of: Document) -> Any:
    """The one behind the summary."""
    return book(of).worksheets[1]


def table(*cells: Any, titles: tuple[str, ...] = ()) -> Document:
    titles = titles or tuple(f"C{number}" for number in range(len(cells)))
    return document(Table(columns=tuple(Column(title=title) for title in titles), rows=(Row(cells=cells),)))


def in_csv(of: Document) -> Counter[Figure]:
    lines = csv.DictReader(io.StringIO(named("csv").render(of).decode("utf-8-sig")))
    titles = {part.name: part.title for part in of.parts}
    return Counter(
        (titles[line["section"]], line["of"], _written(line["row"]), line["column"], _read(line), line["unit"])
        for line in lines
        if line["section"] and line["unit"] != "text"
    )


def _read(line: dict[str, str]) -> str:
    """Times by the millisecond, to which the reader rounds those of a workbook."""
    match line["unit"]:
        case "seconds":
            return f"{round(float(line['value']), 3):.3f}"
        case "moment":
            return _moment(datetime.fromisoformat(line["value"]))
    return line["value"]


def _moment(at: datetime) -> str:
    return f"{at.timestamp():.3f}"


def _written(text: str) -> str:
    return text.removeprefix("'")


def in_workbook(of: Document) -> Counter[Figure]:
    return Counter(figure for sheet, part in zip(book(of).worksheets[1:], of.parts, strict=True)
                   for figure in _figures(sheet, part))  # fmt: skip


def _figures(sheet: Any, part: Part) -> Iterator[Figure]:
    titles, *rows = [list(row) for row in sheet.iter_rows()]
    before = 1 if titles[0].value == "Of" else 0
    for row in rows:
        of = row[0].value or "" if before else ""
        for title, cell in zip(titles[before + 1 :], row[before + 1 :], strict=True):
            if cell.value is not None and cell.data_type != "s":
                unit = UNITS[cell.number_format]
                yield part.title, of, row[before].value or "", title.value.removesuffix(" (UTC)"), _value(cell), unit


def _value(cell: Any) -> str:
    """As the CSV writes it."""
    match cell.value:
        case timedelta():
            return f"{cell.value.total_seconds():.3f}"
        case datetime():
            return _moment(cell.value.replace(tzinfo=UTC))
    return str(cell.value) if UNITS[cell.number_format] == "count" else f"{cell.value:.6f}"


@pytest.mark.django_db
def test_it_has_each_figure_of_the_csv_to_the_unit() -> None:
    full_week.happen(results=300)
    of = full_week.build()

    assert len(in_csv(of)) > 100
    assert in_workbook(of) == in_csv(of)


def test_each_value_is_what_it_is() -> None:
    at = datetime(2026, 11, 9, 14, 5, tzinfo=UTC)
    cells = (Text(text="A"), Count(value=1_204), Share(value=0.9996), Duration(microseconds=4_201_000), Moment(at=at))

    first, *others = sheet(table(*cells))[2]

    assert (first.value, first.data_type) == ("A", "s")
    assert [cell.number_format for cell in others] == ["#,##0", "0.0000%", "[h]:mm:ss.000", "yyyy-mm-dd hh:mm:ss"]
    assert [others[0].value, others[1].value, others[3].value] == [1204, 0.9996, at.replace(tzinfo=None)]
    assert others[2].value == timedelta(microseconds=4_201_000)


def test_nothing_measured_is_an_empty_cell() -> None:
    row = sheet(table(Text(text="A"), Share(value=None), Duration(microseconds=None), Moment(at=None)))[2]

    assert [cell.value for cell in row] == ["A", None, None, None]


def test_a_date_says_whose_clock_it_is_by() -> None:
    summer = Moment(at=datetime(2026, 7, 1, 12, tzinfo=UTC))
    with timezone.override(None), pytest.MonkeyPatch.context() as patched:
        patched.setattr(timezone, "get_default_timezone", lambda: ZoneInfo("Europe/Berlin"))
        found = sheet(table(Text(text="A"), summer, titles=("Task", "Since")))

    assert found["B1"].value == "Since (Europe/Berlin)"
    assert found["B2"].value == datetime(2026, 7, 1, 14)  # noqa: DTZ001  (a spreadsheet's have no zone)


@pytest.mark.parametrize(
    "text", [HOSTILE, "+1", "-1", "@SUM(A1)", "{=1+1}", "\t=1", "http://evil.example/", "=1+1\x00"]
)
def test_no_text_becomes_a_formula_or_an_address(text: str) -> None:
    (cell,) = sheet(table(Text(text=text)))[2]

    assert cell.data_type == "s"
    assert cell.hyperlink is None
    assert cell.quotePrefix


def test_a_figure_leads_to_its_rows(settings: Any) -> None:
    settings.SITE_URL = "https://tasks.example.com"
    cells = (
        Text(text="A", link="/admin/a/?x=1&y=2"),
        Count(value=7, link="/admin/b/"),
        Count(value=8, is_pruned=True),
        Count(value=9, link="/" + "x" * 3_000),
    )

    found = sheet(table(*cells))[2]

    assert [cell.hyperlink and cell.hyperlink.target for cell in found] == [
        "https://tasks.example.com/admin/a/?x=1&y=2",
        "https://tasks.example.com/admin/b/",
        None,
        None,
    ]
    assert [cell.value for cell in found] == ["A", 7, 8, 9]


def test_headings_stay_in_sight_and_names_suit_spreadsheets() -> None:
    titles = (
        "Removed, because its time was over",
        "Removed, because its time was over now",
        "a/b:c",
        "A?B*C",
        "History",
    )
    of = document()
    parts = tuple(Part(name=str(number), title=title, blocks=(Note(text="x"),)) for number, title in enumerate(titles))

    found = book(Document(**{**vars(of), "parts": parts}))

    assert found.sheetnames == [
        "Summary",
        "Removed, because its time was…",
        "Removed, because its time… (2)",
        "a b c",
        "A B C (2)",
        "History (2)",
    ]
    assert {page.freeze_panes for page in found.worksheets[1:]} == {"B2"}
    assert found["Summary"]["A11"].hyperlink.location == "'Removed, because its time was…'!A1"


def test_the_same_document_is_the_same_bytes() -> None:
    assert named("xlsx").render(document()) == named("xlsx").render(document())


@pytest.mark.parametrize(
    ("text", "left"), [("x" * 40_000, "x" * 32_767), ("😀" * 20_000, "😀" * 16_383), ("\ud800", "?")]
)
def test_text_longer_than_a_cell_is_cut(text: str, left: str) -> None:
    (cell,) = sheet(table(Text(text=text)))[2]

    assert cell.value == left
