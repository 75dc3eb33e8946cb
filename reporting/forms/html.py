"""HTML for mail readers of any age: tables, no images, CSS inlined, a dark scheme for those that know it."""

from dataclasses import replace
from functools import cache

import css_inline
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy

from reporting.documents.blocks import Table
from reporting.documents.document import Document, Part
from reporting.forms.shape import Footer, Form
from reporting.forms.showing import shown

LIMIT = 100_000
"""Bytes: Gmail cuts a mail off at 102 KB, wherever that is."""
FEWER = (None, 8, 4, 2)
"""Rows a table may have, where all of them are too long."""


class HtmlForm(Form):
    name = "html"
    title = gettext_lazy("Web page (HTML)")
    content_type = "text/html; charset=utf-8"
    suffix = ".html"

    def draw(self, document: Document, *, footer: Footer) -> bytes:
        for rows in FEWER:
            page = _page(_cut(document, rows), footer).encode()
            if len(page) < LIMIT:
                break
        return page


def _page(document: Document, footer: Footer) -> str:
    return _inliner().inline(render_to_string("reporting/document.html", {**shown(document), "footer": footer}))


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
