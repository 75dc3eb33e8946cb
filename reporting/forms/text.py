"""Plain text, laid out for itself: at most 72 columns wide where names allow it."""

from collections.abc import Iterator
from textwrap import wrap

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from reporting.documents.blocks import Bars, Block, Heading, Links, Note, Sentence, Table
from reporting.documents.document import Document, Part
from reporting.forms.shape import Footer, Form
from reporting.forms.words import PRUNED, pruned_note, say, whole
from reporting.wording import number

WIDTH = 72
WIDEST_FIRST = 26
LEVELS = "▁▂▃▄▅▆▇█"


class TextForm(Form):
    name = "text"
    title = gettext_lazy("Plain text")
    content_type = "text/plain; charset=utf-8"
    suffix = ".txt"

    def draw(self, document: Document, *, footer: Footer) -> bytes:
        pieces = [
            f"{document.title.upper()}\n{document.period_words}",
            _wrapped(document.verdict),
            *(_wrapped(note) for note in document.notes),
            *("\n".join(_part(part)) for part in document.parts),
        ]
        if any(PRUNED in piece for piece in pieces):
            pieces.append(_wrapped(pruned_note()))
        return ("\n\n".join([*pieces, *_footer(footer)]) + "\n").encode()


def _part(part: Part) -> Iterator[str]:
    yield part.title.upper()
    yield "-" * WIDTH
    for place, block in enumerate(part.blocks):
        if place and isinstance(block, Heading):
            yield ""
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Sentence() | Note():
            yield from wrap(block.text, WIDTH)
        case Heading():
            yield f"{block.text} ({block.beside})" if block.beside else block.text
        case Bars():
            yield f"{block.caption}: {_levels(block.values)}  {_ends(block)}"
        case Table():
            yield from _table(block)
        case Links():
            yield from (f"{link.text}: {whole(link.path)}" for link in block.links)


def _levels(values: tuple[int, ...]) -> str:
    most = max([*values, 1])
    return "".join(LEVELS[-(-value * (len(LEVELS) - 1) // most)] for value in values)


def _ends(bars: Bars) -> str:
    return f"{_end(bars, 0)} … {_end(bars, -1)}" if bars.values else ""


def _end(bars: Bars, place: int) -> str:
    return f"{bars.labels[place]} {number(bars.values[place])}"


def _table(table: Table) -> Iterator[str]:
    texts = [[say(cell) for cell in row.cells] for row in table.rows]
    titles = [column.title for column in table.columns]
    widths = [max(map(len, column)) for column in zip(titles, *texts, strict=True)]
    first = min(widths[0], WIDEST_FIRST)
    yield _line(titles[0], titles[1:], first, widths[1:])
    for text in texts:
        yield from _row(text, first, widths[1:])
    if table.rest:
        yield table.rest


def _row(text: list[str], first: int, widths: list[int]) -> Iterator[str]:
    """A name too long for its column has lines of its own."""
    if len(text[0]) <= first:
        yield _line(text[0], text[1:], first, widths)
        return
    yield from wrap(text[0], WIDTH)
    yield _line("", text[1:], first, widths)


def _line(name: str, texts: list[str], first: int, widths: list[int]) -> str:
    columns = (f"{text:>{width + 3}}" for text, width in zip(texts, widths, strict=True))
    return f"{name:<{first}}{''.join(columns)}".rstrip()


def _footer(footer: Footer) -> Iterator[str]:
    lines = [
        (_("This report as a web page, where figures lead to their rows:"), footer.web_url),
        (_("To get no more of them:"), footer.unsubscribe_url),
        (_("To choose what you get:"), footer.manage_url),
    ]
    if footer.reason:
        yield _wrapped(footer.reason)
    yield from (f"{words}\n{address}" for words, address in lines if address)


def _wrapped(text: str) -> str:
    return "\n".join(wrap(text, WIDTH))
