"""The text part of an e-mail that was only given as HTML: what it says, and where its links lead."""

import re
import textwrap
from functools import cache
from typing import Any

_UNSEEN = re.compile("[\u00ad\u034f\u200b-\u200f\u2060\ufeff]")
"""Characters that newsletters fill up the preview of a mail with."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_DECLARATION = re.compile(r"\s*<\?xml[^>]*>")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_WAS_TABLE = "data-was-table"
_SCHEMES = ("http:", "https:", "mailto:", "tel:")


def of(html: str) -> str:
    """Readable plain text: lists and tables of figures as such, and each link as ``its words (https://…)``."""
    from inscriptis.html_engine import Inscriptis

    body = _CONTROL.sub("", _DECLARATION.sub("", html, count=1))
    if not body.strip():
        return ""
    tree = _tree(body)
    for link in list(tree.iter("a")):
        _write_out(link)
    # From the inside out: what is within a table of layout may be one as well.
    for table in reversed(list(tree.iter("table"))):
        if _is_layout(table):
            _flatten(table)
    for part in tree.iter("*"):
        _restyle(part)
    return _tidy(Inscriptis(tree, _config()).get_text())


def _tree(body: str) -> Any:
    from lxml.etree import ParserError  # type: ignore[import-untyped]
    from lxml.html import document_fromstring  # type: ignore[import-untyped]

    try:
        return document_fromstring(body)
    except ParserError:
        # There is nothing in it but, perhaps, a comment.
        return document_fromstring("<p></p>")


@cache
def _config() -> Any:
    from inscriptis.css_profiles import STRICT_CSS_PROFILE
    from inscriptis.model.config import ParserConfig

    return ParserConfig(css=STRICT_CSS_PROFILE, display_links=False)


def _write_out(link: Any) -> None:
    """Its address behind its words; for a picture, behind what the picture shows."""
    address = (link.get("href") or "").strip()
    if not address.lower().startswith(_SCHEMES):
        return
    words = " ".join(link.text_content().split()) or " ".join(alt for alt in link.xpath(".//img/@alt") if alt.strip())
    plain = address.removeprefix("mailto:").removeprefix("tel:")
    if words in (address, plain):
        return
    if not link.text_content().strip():
        for child in list(link):
            link.remove(child)
        link.text = words
    shown = f" ({plain})" if words else plain
    last = link[-1] if len(link) else None
    if last is None:
        link.text = (link.text or "").rstrip() + shown
    else:
        last.tail = (last.tail or "").rstrip() + shown


def _is_layout(table: Any) -> bool:
    if table.get("role") in ("presentation", "none") or table.xpath(f".//div[@{_WAS_TABLE}]"):
        return True
    return all(sum(cell.tag in ("td", "th") for cell in row) < 2 for row in table.iter("tr"))


def _flatten(table: Any) -> None:
    """But for the tables of figures within it."""
    parts = table.iter("thead", "tbody", "tfoot", "tr", "td", "th")
    own = [part for part in parts if next(part.iterancestors("table")) is table]
    for part in (*own, table):
        part.tag = "div"
        part.attrib.pop("align", None)
        part.attrib.pop("valign", None)
    table.set(_WAS_TABLE, "")


def _restyle(part: Any) -> None:
    """Of its looks, whether it is seen at all matters."""
    if _HIDDEN.search(part.attrib.pop("style", "")):
        part.set("style", "display: none")
    elif part.tag == "table":
        part.set("style", "display: block; margin-top: 1em; margin-bottom: 1em")


def _tidy(text: str) -> str:
    seen = _UNSEEN.sub("", text.replace("\u00a0", " "))
    lines = textwrap.dedent("\n".join(line.rstrip() for line in seen.splitlines()))
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"
