"""Blocks as the templates in reporting/blocks show them: for a mail, a page or print."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reporting.documents.blocks import Bars, Block, Table
from reporting.documents.cells import Cell, Text
from reporting.documents.document import Document
from reporting.forms import words
from reporting.wording import number

TALLEST = 36
"""Pixels of the highest bar."""


@dataclass(frozen=True)
class Shown:
    """A cell as people read it. ``parts`` are the pieces between which a narrow screen may break it."""

    parts: list[str]
    link: str
    tone: str


def shown(document: Document, *, in_pieces: bool = True) -> dict[str, Any]:
    """What a template needs of it: its sections, each with its blocks, and what is to be said of marked figures."""
    parts = [(part.title, [_block(block, in_pieces) for block in part.blocks]) for part in document.parts]
    verdict = [(piece.text, words.whole(piece.path)) for piece in document.verdict_in_pieces()]
    return {"document": document, "verdict": verdict, "parts": parts, "pruned": _pruned_note(document)}


def _block(block: Block, in_pieces: bool) -> dict[str, Any]:
    """The name of its template, and what that shows."""
    found: dict[str, Any] = {"template": f"reporting/blocks/{type(block).__name__.lower()}.html", "block": block}
    if isinstance(block, Table):
        rows = [[_cell(cell, in_pieces) for cell in row.cells] for row in block.rows]
        found |= {"rows": rows, "width": len(block.columns)}
    elif isinstance(block, Bars):
        found |= {"bars": list(_bars(block)), "share": 100 // max(len(block.values), 1)}
    else:
        found |= {"link": words.whole(getattr(block, "link", ""))}
    return found


def _cell(cell: Cell, in_pieces: bool) -> Shown:
    said = words.say(cell)
    parts = _parts(said) if in_pieces and isinstance(cell, Text) else [said]
    return Shown(parts, words.whole(words.link_of(cell)), cell.tone)


def _bars(bars: Bars) -> Iterator[tuple[str, str, int, str]]:
    """Label, value, height and address of each."""
    most = max([*bars.values, 1])
    addresses: Sequence[str] = bars.links or ("",) * len(bars.values)
    for label, value, link in zip(bars.labels, bars.values, addresses, strict=True):
        yield label, number(value), -(-value * TALLEST // most), words.whole(link)


def _parts(text: str) -> list[str]:
    return text.replace(".", ".\n").replace("_", "_\n").split("\n")


def _pruned_note(document: Document) -> str:
    tables = (block for part in document.parts for block in part.blocks if isinstance(block, Table))
    marked = any(getattr(cell, "is_pruned", False) for table in tables for row in table.rows for cell in row.cells)
    return words.pruned_note() if marked else ""
