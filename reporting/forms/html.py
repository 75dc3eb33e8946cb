"""HTML for mail readers of any age: tables, no images, CSS inlined, a dark scheme for those that know it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import css_inline
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy

from reporting.documents.blocks import Bars, Block, Table
from reporting.documents.cells import Cell, Text
from reporting.documents.document import Document, Part
from reporting.forms import words
from reporting.forms.shape import NO_FOOTER, Footer, Form

LIMIT = 100_000
"""Bytes: Gmail cuts a mail off at 102 KB, wherever that is."""
FEWER = (None, 8, 4, 2)
"""Rows a table may have, where all of them are too long."""
TALLEST = 36
"""Pixels of the highest bar."""


@dataclass(frozen=True)
class Shown:
    """A cell as people read it. ``parts`` are the pieces between which a narrow screen may break it."""

    parts: list[str]
    link: str
    tone: str


class HtmlForm(Form):
    name = "html"
    title = gettext_lazy("Web page (HTML)")
    content_type = "text/html; charset=utf-8"
    suffix = ".html"

    def render(self, document: Document, *, footer: Footer = NO_FOOTER) -> bytes:
        for rows in FEWER:
            page = _page(_cut(document, rows), footer).encode()
            if len(page) < LIMIT:
                break
        return page


def _page(document: Document, footer: Footer) -> str:
    parts = [(part.title, [_block(block) for block in part.blocks]) for part in document.parts]
    page = render_to_string(
        "reporting/document.html",
        {"document": document, "footer": footer, "parts": parts, "pruned": _pruned_note(document)},
    )
    return _inliner().inline(page)


def _block(block: Block) -> dict[str, Any]:
    """The name of its template, and what that shows."""
    shown: dict[str, Any] = {"template": f"reporting/blocks/{type(block).__name__.lower()}.html", "block": block}
    if isinstance(block, Table):
        shown |= {"rows": [[_cell(cell) for cell in row.cells] for row in block.rows], "width": len(block.columns)}
    elif isinstance(block, Bars):
        shown |= {"bars": list(_bars(block)), "share": 100 // max(len(block.values), 1)}
    else:
        shown |= {"link": words.whole(getattr(block, "link", ""))}
    return shown


def _cell(cell: Cell) -> Shown:
    said = words.say(cell)
    parts = _parts(said) if isinstance(cell, Text) else [said]
    return Shown(parts, words.whole(words.link_of(cell)), cell.tone)


def _bars(bars: Bars) -> Iterator[tuple[str, str, int, str]]:
    """Label, value, height and address of each."""
    most = max([*bars.values, 1])
    addresses: Sequence[str] = bars.links or ("",) * len(bars.values)
    for label, value, link in zip(bars.labels, bars.values, addresses, strict=True):
        yield label, f"{value:,}", -(-value * TALLEST // most), words.whole(link)


def _parts(text: str) -> list[str]:
    return text.replace(".", ".\n").replace("_", "_\n").split("\n")


def _pruned_note(document: Document) -> str:
    tables = (block for part in document.parts for block in part.blocks if isinstance(block, Table))
    marked = any(getattr(cell, "is_pruned", False) for table in tables for row in table.rows for cell in row.cells)
    return words.pruned_note() if marked else ""


def _cut(document: Document, rows: int | None) -> Document:
    if rows is None:
        return document
    return replace(document, parts=tuple(_cut_part(part, rows) for part in document.parts))


def _cut_part(part: Part, rows: int) -> Part:
    """Tables whose rows are things of one kind; those of a few figures stay whole."""
    blocks = (
        replace(block, rows=block.rows[:rows], rest=block.rest or "…")
        if isinstance(block, Table) and block.stacked and len(block.rows) > rows
        else block
        for block in part.blocks
    )
    return replace(part, blocks=tuple(blocks))


@cache
def _inliner() -> css_inline.CSSInliner:
    # The style element marked "keep" stays: media queries cannot be inlined.
    return css_inline.CSSInliner(load_remote_stylesheets=False)
