"""A workbook: numbers, shares, durations and dates as what they are, below headings that stay in sight.

Nothing in it is a formula: what was written by whoever enqueues is only ever written as text.
"""

from collections import Counter
from datetime import UTC
from io import BytesIO
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from reporting.documents.cells import Cell, Change, Count, Duration, Moment, Share, Text, Tone
from reporting.documents.document import Document
from reporting.forms.shape import Footer, Form, FormAway
from reporting.forms.sheets import Sheet, sheets
from reporting.forms.words import PRUNED, link_of, pruned_note, say, whole

LONGEST_TEXT = 32_767
LONGEST_LINK = 2_079
"""Letters that Excel takes in a cell, and in an address."""
WIDEST, NARROWEST = 60, 9
"""Letters in a column."""
A4 = 9
DAY = 86_400_000_000
"""Microseconds. A spreadsheet counts durations in days."""
CLOCK, LENGTH = "yyyy-mm-dd hh:mm:ss", "[h]:mm:ss.000"
NUMBER, MARKED, CHANGE = "#,##0", f'#,##0" {PRUNED}"', "+0%;-0%;0%"
RATE, FINE_RATE = "0.0%", "0.0000%"
COLOURS: dict[str, str] = {Tone.GOOD: "#276749", Tone.BAD: "#B42318", Tone.QUIET: "#5C6675"}
LINK, LINE = "#1F5FBF", "#C9CED6"
SHOWN = {LENGTH: "000:00:00.000", CLOCK: "0000-00-00 00:00:00", FINE_RATE: "00.0000%"}
"""As wide as a figure in this format may be."""


class XlsxForm(Form):
    name = "xlsx"
    title = gettext_lazy("Excel (XLSX)")
    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    suffix = ".xlsx"
    goes_with_mail = True
    is_text = False

    def draw(self, document: Document, *, footer: Footer) -> bytes:
        out = BytesIO()
        # In memory: a file of its own for each sheet would have to be cleared away.
        book = _library().Workbook(out, {"in_memory": True})
        _Workbook(book, document).write()
        book.close()
        return out.getvalue()


def _library() -> Any:
    # At use: only the pool of reports has need of it.
    try:
        import xlsxwriter
    except ImportError:
        raise FormAway("XlsxWriter is not installed: pip install 'taskyard[xlsx]'.") from None
    return xlsxwriter


class _Workbook:
    def __init__(self, book: Any, document: Document) -> None:
        self._book, self._document = book, document
        self._looks: dict[tuple[tuple[str, Any], ...], Any] = {}
        self._zone = timezone.get_default_timezone()
        # The same document is the same bytes.
        made = document.built_at.astimezone(UTC).replace(tzinfo=None)
        book.set_properties({"title": document.subject, "comments": document.verdict, "created": made})
        book.set_size(2_000, 1_400)

    def write(self) -> None:
        summary = _("Summary")
        found = sheets(self._document, taken=[summary])
        self._summary(self._book.add_worksheet(summary), found)
        for sheet in found:
            self._sheet(self._book.add_worksheet(sheet.name), sheet)

    def _summary(self, page: Any, found: list[Sheet]) -> None:
        document = self._document
        page.set_column(0, 0, 20, self._look(valign="top"))
        page.set_column(1, 1, 90)
        page.hide_gridlines(2)
        page.set_paper(A4)
        page.fit_to_pages(1, 0)
        page.write_string(0, 0, document.title, self._look(bold=True, font_size=16))
        lines: list[tuple[str, Cell]] = [
            (_("Period"), Text(text=document.period_words)),
            (_("Verdict"), Text(text=document.verdict, tone=document.tone)),
            *((_("Note"), Text(text=note)) for note in document.notes),
            *([(_("Domains"), Text(text=", ".join(document.domains)))] if document.domains else []),
            (_("Made at"), Moment(at=document.built_at)),
            (_("Time zone"), Text(text=str(self._zone))),
            (_("Durations"), Text(text=_("hours:minutes:seconds"))),
            (_("Marked"), Text(text=pruned_note())),
        ]
        for row, (label, cell) in enumerate(lines, 2):
            page.write_string(row, 0, label, self._look(font_color=COLOURS[Tone.QUIET], valign="top"))
            self._put(page, (row, 1), cell, text_wrap=True, align="left", valign="top")
        for row, sheet in enumerate(found, len(lines) + 3):
            name = sheet.name.replace("'", "''")
            link = self._look(font_color=LINK)
            page.write_url(row, 0, f"internal:'{name}'!A1", link, sheet.name)
            if sheet.title != sheet.name:
                page.write_string(row, 1, sheet.title)

    def _sheet(self, page: Any, sheet: Sheet) -> None:
        before = [_("Of")] if sheet.has_headings else []
        titles = [*before, sheet.first, *self._titles(sheet)]
        widths = Counter({column: len(title) for column, title in enumerate(titles)})
        for column, title in enumerate(titles):
            side = "left" if column <= len(before) else "right"
            page.write_string(0, column, title, self._look(bold=True, bottom=1, bottom_color=LINE, align=side))
        for row, line in enumerate(sheet.lines, 1):
            if before:
                page.write_string(row, 0, _cut(line.of))
                widths[0] = max(widths[0], len(line.of))
            places = [line.first, *(line.cells.get(column) for column in sheet.columns)]
            for column, cell in enumerate(places, len(before)):
                if cell is not None:
                    width = self._put(page, (row, column), cell)
                    # A sentence reaches over the empty cells beside it.
                    widths[column] = max(widths[column], width if line.cells else 0)
        self._lay_out(page, sheet, titles, widths)

    def _titles(self, sheet: Sheet) -> list[str]:
        """A date in a spreadsheet has no time zone of its own."""
        dated = {name for line in sheet.lines for name, cell in line.cells.items() if isinstance(cell, Moment)}
        return [f"{name} ({self._zone})" if name in dated else name for name in sheet.columns]

    def _lay_out(self, page: Any, sheet: Sheet, titles: list[str], widths: Counter[int]) -> None:
        for column in range(len(titles)):
            page.set_column(column, column, max(NARROWEST, min(widths[column] + 2, WIDEST)))
        page.freeze_panes(1, len(titles) - len(sheet.columns))
        page.autofilter(0, 0, len(sheet.lines), len(titles) - 1)
        page.set_landscape()
        page.set_paper(A4)
        page.fit_to_pages(1, 0)
        page.repeat_rows(0)
        page.set_footer("&L&A&R&P / &N")

    def _put(self, page: Any, at: tuple[int, int], cell: Cell, **look: Any) -> int:
        """Write it as what it is. How many letters wide it is."""
        link = whole(link_of(cell))
        link = link if len(link) <= LONGEST_LINK else ""
        shown, number = _figure(cell)
        look |= _toned(cell.tone, is_link=bool(link)) | ({"num_format": shown} if shown else {})
        if isinstance(cell, Text):
            self._text(page, at, _cut(cell.text), link, self._look(quote_prefix=True, **look))
            return len(cell.text)
        if link:
            page.write_url(*at, link, None, say(cell))
        if isinstance(cell, Moment) and cell.at:
            page.write_datetime(*at, cell.at.astimezone(self._zone).replace(tzinfo=None), self._look(**look))
        elif number is not None:
            page.write_number(*at, number, self._look(**look))
        return len(SHOWN.get(shown, say(cell)))

    def _text(self, page: Any, at: tuple[int, int], text: str, link: str, look: Any) -> None:
        if link and text:
            page.write_url(*at, link, look, text)
        elif text:
            page.write_string(*at, text, look)

    def _look(self, **properties: Any) -> Any:
        key = tuple(sorted(properties.items()))
        if key not in self._looks:
            self._looks[key] = self._book.add_format(properties)
        return self._looks[key]


def _figure(cell: Cell) -> tuple[str, float | None]:
    """The format that shows it, and its value; None where there is none."""
    match cell:
        case Count():
            return (MARKED if cell.is_pruned else NUMBER), cell.value
        case Share():
            # Almost all is never shown as all, nor something as nothing.
            is_close = cell.value is not None and (0 < cell.value < 0.001 or 0.999 < cell.value < 1)
            return (FINE_RATE if is_close else RATE), cell.value
        case Duration():
            return LENGTH, None if cell.microseconds is None else cell.microseconds / DAY
        case Moment():
            return CLOCK, None
        case Change():
            return CHANGE, cell.now / cell.before - 1 if cell.before else None
        case Text():
            return "", None


def _cut(text: str) -> str:
    """Excel counts in UTF-16; half of a pair is no letter."""
    return text.encode("utf-16-le", errors="replace")[: 2 * LONGEST_TEXT].decode("utf-16-le", errors="ignore")


def _toned(tone: str, *, is_link: bool) -> dict[str, Any]:
    colour = COLOURS.get(tone) or (LINK if is_link else "")
    return ({"font_color": colour} if colour else {}) | ({"bold": True} if tone == Tone.BAD else {})
