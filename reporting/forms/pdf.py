"""Pages of A4 for print: numbered, with what they are about at the top of each, in light colours, and links that work.

It is made of what the report says alone: nothing is fetched, neither from the network nor from this machine's files.
"""

import io
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy

from reporting.documents.blocks import Block, Table
from reporting.documents.document import Document
from reporting.forms.shape import Footer, Form, FormAway
from reporting.forms.showing import shown

PACKAGES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"
"""Debian's names of what WeasyPrint draws with."""


class PdfForm(Form):
    name = "pdf"
    title = gettext_lazy("PDF")
    content_type = "application/pdf"
    suffix = ".pdf"
    goes_with_mail = True
    is_text = False

    def draw(self, document: Document, *, footer: Footer) -> bytes:
        # Words of many pieces take WeasyPrint minutes, and it breaks long ones itself.
        context = {**shown(_side_by_side(document), in_pieces=False), "footer": footer}
        return pages(render_to_string("reporting/printed.html", context))


def pages(html: str) -> bytes:
    """Raises FormAway."""
    weasyprint = _library()
    # By no protocol, which is neither by HTTP nor from files.
    nothing = weasyprint.urls.URLFetcher(allowed_protocols=())
    found: bytes = weasyprint.HTML(string=html, url_fetcher=nothing).write_pdf()
    return found


def _side_by_side(document: Document) -> Document:
    """A page is wide enough for a name and its figures in one row, which then is never torn apart."""
    return replace(
        document, parts=tuple(replace(part, blocks=tuple(map(_flat, part.blocks))) for part in document.parts)
    )


def _flat(block: Block) -> Block:
    return replace(block, stacked=False) if isinstance(block, Table) else block


def _library() -> Any:
    # At use: only the pool of reports has need of it. Where it fails it prints advice; our own sentence is shorter.
    try:
        with redirect_stdout(io.StringIO()):
            import weasyprint
    except ImportError:
        raise FormAway("WeasyPrint is not installed: pip install 'taskyard[pdf]'.") from None
    except OSError as error:
        raise FormAway(
            f"WeasyPrint lacks a library of the system ({_first_line(error)}). Try: make pdf, "
            f"or: apt-get update && apt-get install {PACKAGES}"
        ) from None
    return weasyprint


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(":")[0]
