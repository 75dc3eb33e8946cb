"""A document as sheets of a workbook: each section is one table below one row of headings, whatever its blocks are."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from reporting.documents.blocks import Bars, Block, Heading, Links, Note, Sentence, Table
from reporting.documents.cells import Cell, Count, Text, Tone
from reporting.documents.document import Document, Part

LONGEST_NAME = 31
"""Letters that a spreadsheet allows the name of a sheet."""
_FORBIDDEN = dict.fromkeys(map(ord, "[]:*?/\\"), " ")
_RESERVED = "history"


@dataclass(frozen=True)
class Line:
    """``of``: the heading above it. ``cells`` are by the heading of their column. ``is_bars``: they were drawn."""

    of: str
    first: Cell
    cells: Mapping[str, Cell] = field(default_factory=dict)
    is_bars: bool = False


@dataclass(frozen=True)
class Sheet:
    """``first`` is the heading above what the lines are of."""

    name: str
    title: str
    has_headings: bool
    first: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def sheets(document: Document, *, taken: Iterable[str] = ()) -> list[Sheet]:
    """One for each section. ``taken``: names that other sheets have."""
    names = list(taken)
    for part in document.parts:
        names.append(_name(part.title, names))
    own = names[len(names) - len(document.parts) :]
    return [_sheet(part, name) for part, name in zip(document.parts, own, strict=True)]


def _sheet(part: Part, name: str) -> Sheet:
    lines = tuple(_lines(part))
    # The columns of tables first: days would keep them out of sight.
    columns = dict.fromkeys(column for line in sorted(lines, key=lambda line: line.is_bars) for column in line.cells)
    has_headings = any(line.of for line in lines)
    return Sheet(name, part.title, has_headings, _first(part), tuple(columns), lines)


def _name(title: str, taken: Iterable[str]) -> str:
    """Spreadsheets take no two that differ in capital letters alone."""
    plain = " ".join(title.translate(_FORBIDDEN).split()).strip("' ") or _("Section")
    known = {name.casefold() for name in taken} | {_RESERVED}
    name, number = _cut(plain), 1
    while name.casefold() in known:
        number += 1
        name = _cut(plain, f" ({number})")
    return name


def _cut(text: str, ending: str = "") -> str:
    room = LONGEST_NAME - len(ending)
    return (text if len(text) <= room else f"{text[: room - 1].rstrip()}…") + ending


def _first(part: Part) -> str:
    titles = {block.columns[0].title for block in part.blocks if isinstance(block, Table)} - {""}
    return titles.pop() if len(titles) == 1 else _("What")


def _lines(part: Part) -> Iterator[Line]:
    of = ""
    for block in part.blocks:
        if isinstance(block, Heading):
            of = block.text
        else:
            yield from _block(block, of)


def _block(block: Block, of: str) -> Iterator[Line]:
    match block:
        case Sentence():
            yield Line(of, Text(text=block.text, link=block.link, tone=block.tone))
        case Note():
            yield _note(of, block.text)
        case Bars():
            yield _bars(of, block)
        case Table():
            yield from _table(of, block)
        case Links():
            yield from (Line(of, Text(text=link.text, link=link.path)) for link in block.links)


def _bars(of: str, bars: Bars) -> Line:
    links = bars.links or ("",) * len(bars.values)
    figures = (Count(value=value, link=link) for value, link in zip(bars.values, links, strict=True))
    cells = dict(zip(_told_apart(bars.labels), figures, strict=True))
    return Line(of, Text(text=bars.caption), cells, is_bars=True)


def _table(of: str, table: Table) -> Iterator[Line]:
    titles = list(_told_apart(column.title for column in table.columns[1:]))
    for row in table.rows:
        yield Line(of, row.cells[0], dict(zip(titles, row.cells[1:], strict=True)))
    if table.rest:
        yield _note(of, table.rest)


def _note(of: str, text: str) -> Line:
    return Line(of, Text(text=text, tone=Tone.QUIET))


def _told_apart(titles: Iterable[str]) -> Iterator[str]:
    """Two columns of one table may have the same heading."""
    seen: Counter[str] = Counter()
    for title in titles:
        seen[title] += 1
        yield title if seen[title] == 1 else f"{title} ({seen[title]})"
