"""What a section of a report consists of. Forms know these, and no section."""

from dataclasses import dataclass

from reporting.documents.cells import Cell, Tone
from reporting.documents.storing import stored


@stored("sentence")
@dataclass(frozen=True, kw_only=True)
class Sentence:
    text: str
    link: str = ""
    tone: str = Tone.PLAIN


@stored("note")
@dataclass(frozen=True, kw_only=True)
class Note:
    """Small print."""

    text: str


@stored("heading")
@dataclass(frozen=True, kw_only=True)
class Heading:
    """Within a section."""

    text: str
    beside: str = ""
    """Smaller: whom to ask."""
    link: str = ""


@stored("bars")
@dataclass(frozen=True, kw_only=True)
class Bars:
    """One bar for each label; ``caption`` says of what."""

    caption: str
    labels: tuple[str, ...]
    values: tuple[int, ...]
    links: tuple[str, ...] = ()


@stored("column")
@dataclass(frozen=True, kw_only=True)
class Column:
    title: str


@stored("row")
@dataclass(frozen=True, kw_only=True)
class Row:
    """The first cell says what the others are of."""

    cells: tuple[Cell, ...]


@stored("table")
@dataclass(frozen=True, kw_only=True)
class Table:
    """``stacked``: the first cell is long, such as a task's name, and needs a line of its own.

    ``rest`` says what was left out.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    stacked: bool = False
    rest: str = ""


@stored("link")
@dataclass(frozen=True, kw_only=True)
class Link:
    text: str
    path: str


@stored("links")
@dataclass(frozen=True, kw_only=True)
class Links:
    links: tuple[Link, ...]


Block = Sentence | Note | Heading | Bars | Table | Links
