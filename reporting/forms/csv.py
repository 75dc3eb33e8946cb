"""Figures for spreadsheets: one line for each, with its unit and the address of its rows."""

import csv
import io
from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from reporting.documents.blocks import Bars, Heading, Sentence, Table
from reporting.documents.cells import Cell, Change, Count, Duration, Moment, Share, Text
from reporting.documents.document import Document, Part
from reporting.forms.shape import Footer, Form
from reporting.forms.words import link_of, whole

COLUMNS = (
    gettext_noop("report"),
    gettext_noop("period"),
    gettext_noop("section"),
    gettext_noop("of"),
    gettext_noop("row"),
    gettext_noop("column"),
    gettext_noop("value"),
    gettext_noop("unit"),
    gettext_noop("address"),
    gettext_noop("note"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class CsvForm(Form):
    name = "csv"
    title = gettext_lazy("CSV")
    content_type = "text/csv; charset=utf-8"
    suffix = ".csv"
    goes_with_mail = True

    def draw(self, document: Document, *, footer: Footer) -> bytes:
        out = io.StringIO()
        lines = csv.writer(out)
        lines.writerow(map(_, COLUMNS))
        for line in _lines(document):
            lines.writerow([_safe(text) for text in line])
        # Spreadsheets take a file without this mark for Latin-1.
        return out.getvalue().encode("utf-8-sig")


def _lines(document: Document) -> Iterator[tuple[str, ...]]:
    known = (document.report, document.period)
    yield (*known, "", "", "", "", document.verdict, "text", "", "")
    for note in document.notes:
        yield (*known, "", "", "", "", note, "text", "", "")
    for part in document.parts:
        yield from ((*known, part.name, *line) for line in _part(part))


def _part(part: Part) -> Iterator[tuple[str, ...]]:
    of = ""
    for block in part.blocks:
        match block:
            case Heading():
                of = block.text
            case Sentence():
                yield (of, "", "", block.text, "text", whole(block.link), "")
            case Bars():
                links = block.links or ("",) * len(block.values)
                for label, value, link in zip(block.labels, block.values, links, strict=True):
                    yield (of, block.caption, label, str(value), "count", whole(link), "")
            case Table():
                yield from ((of, *line) for line in _table(block))
            case _:
                pass


def _table(table: Table) -> Iterator[tuple[str, ...]]:
    for row in table.rows:
        first, *others = row.cells
        for column, cell in zip(table.columns[1:], others, strict=True):
            value, unit = _value(cell)
            if value:
                note = "pruned" if isinstance(cell, Count) and cell.is_pruned else ""
                yield (_value(first)[0], column.title, value, unit, whole(link_of(cell)), note)


def _value(cell: Cell) -> tuple[str, str]:
    """As machines read it."""
    match cell:
        case Text():
            return cell.text, "text"
        case Count():
            return str(cell.value), "count"
        case Share():
            return ("" if cell.value is None else f"{cell.value:.6f}"), "share"
        case Duration():
            return ("" if cell.microseconds is None else f"{cell.microseconds / 1_000_000:.6f}"), "seconds"
        case Moment():
            return (cell.at.isoformat() if cell.at else ""), "moment"
        case Change():
            return (f"{cell.now / cell.before - 1:.6f}" if cell.before else ""), "share"


def _safe(text: str) -> str:
    """Task names are written by whoever enqueues: none of them becomes a formula. Numbers stay numbers."""
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
