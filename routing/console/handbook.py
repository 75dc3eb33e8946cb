"""The project's documents as pages of the console: a link to a file helps nobody in the middle of an incident."""

import posixpath
import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt
from markdown_it.token import Token

FOLDER: Path = (settings.BASE_DIR / "docs").resolve()
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")


def page(request: HttpRequest, name: str) -> HttpResponse:
    """One document, for everybody who may sign in: it holds nothing of this installation."""
    path = (FOLDER / f"{name.replace(chr(0), '')}.md").resolve()
    if not (path.is_relative_to(FOLDER) and path.is_file()):
        raise Http404(_("There is no such document in docs/. It comes with the project's source."))
    title, text = _rendered(name, path.stat().st_mtime_ns)
    context = {
        **admin.site.each_context(request),
        "title": title,
        "text": text,
        "name": name,
        "documents": sorted(each.stem for each in FOLDER.glob("*.md")),
    }
    return TemplateResponse(request, "console/handbook.html", context)


def part(name: str, begins: str) -> SafeString:
    """From the heading with that address to the next one; empty where there is none."""
    try:
        tokens, _titles = _parsed(name)
    except OSError:
        return SafeString()
    headings = [place for place, token in enumerate(tokens) if token.type == "heading_open"]
    first = next((place for place in headings if tokens[place].attrGet("id") == begins), len(tokens))
    last = next((place for place in headings if place > first), len(tokens))
    return _html(tokens[first:last])


@lru_cache(maxsize=32)
def _rendered(name: str, _changed: int) -> tuple[str, SafeString]:
    tokens, titles = _parsed(name)
    return (titles or [name])[0], _html(tokens)


def _parsed(name: str) -> tuple[list[Token], list[str]]:
    """With the titles of its headings."""
    tokens = _PARSER.parse((FOLDER / f"{name}.md").read_text(encoding="utf-8"))
    titles = _give_headings_addresses(tokens)
    for token in tokens:
        for child in token.children or ():
            _lead(child, name)
    return tokens, titles


def _html(tokens: list[Token]) -> SafeString:
    # Only what the parser makes of the project's own files, in which HTML stays text.
    text: str = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return mark_safe(text)  # noqa: S308


def _give_headings_addresses(tokens: list[Token]) -> list[str]:
    titles = []
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            title = "".join(child.content for child in inline.children or ())
            heading.attrSet("id", address(title))
            titles.append(title)
    return titles


def address(title: str) -> str:
    """As GitHub makes it, so that links between the documents lead there, too."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _lead(token: Token, name: str) -> None:
    """Links to other documents lead to their pages; to other files, nowhere."""
    if token.type != "link_open":
        return
    target = urlsplit(str(token.attrGet("href") or ""))
    if target.scheme or not target.path:
        return
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target.path))
    if path.endswith(".md") and not path.startswith(".."):
        fragment = f"#{target.fragment}" if target.fragment else ""
        token.attrSet("href", f"{reverse('console:handbook', args=[path.removesuffix('.md')])}{fragment}")
    else:
        token.attrs.pop("href", None)
