"""Links that would run code where they lead nowhere: ``javascript:``, ``vbscript:`` and ``data:``, but for pictures."""

import re
from html import unescape

_LINK = re.compile(
    r"""(?P<name>[\s"'/](?:href|src|action|formaction|xlink:href|background|poster|data)\s*=\s*)"""
    r"""(?P<value>"[^"]*"|'[^']*'|[^\s"'<>]+)""",
    re.IGNORECASE,
)
_IGNORED_BY_BROWSERS = re.compile(r"[\x00-\x20]+")
_RUNS = re.compile(r"(?:javascript|vbscript|livescript|data(?!:image/(?:png|gif|jpe?g|webp|avif)[;,])):", re.IGNORECASE)

NOWHERE = '"#"'


def harmless(html: str) -> str:
    """The HTML, in which each link that would run code leads nowhere."""
    return _LINK.sub(_replaced, html)


def running(html: str) -> str:
    """The first link that would run code; empty if there is none."""
    return next((found["value"] for found in _LINK.finditer(html) if _runs(found["value"])), "")


def _replaced(found: re.Match[str]) -> str:
    return found["name"] + NOWHERE if _runs(found["value"]) else found[0]


def _runs(value: str) -> bool:
    # Browsers skip white space and control characters in front of and within the scheme.
    return bool(_RUNS.match(_IGNORED_BY_BROWSERS.sub("", unescape(value.strip("\"'")))))
