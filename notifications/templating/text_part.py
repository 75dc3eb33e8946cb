"""The text part of an e-mail that was only given as HTML."""

import re

from inscriptis import get_text
from inscriptis.css_profiles import STRICT_CSS_PROFILE
from inscriptis.model.config import ParserConfig

_CONFIG = ParserConfig(css=STRICT_CSS_PROFILE, display_links=True, display_anchors=False)


def of(html: str) -> str:
    """Readable plain text; a link is followed by where it leads."""
    text = get_text(html, _CONFIG)
    lines = (line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
