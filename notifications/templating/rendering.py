"""Fills templates in: HTML always escaped, and never with a link that runs code."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.template import Context, Template

from notifications.templating import links
from notifications.templating.bounds import Unfit
from notifications.templating.language import ENGINE, UnusableTemplate, compiled

__all__ = ["EMPTY", "ENGINE", "Sources", "UnusableTemplate", "compiled", "rendered"]


@dataclass(frozen=True)
class Sources:
    subject: str
    text: str
    html: str

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        return ("subject", self.subject), ("text", self.text), ("HTML", self.html)


EMPTY = Sources(subject="", text="", html="")


def rendered(sources: Sources, values: Mapping[str, Any]) -> tuple[str, str, str]:
    """Subject, text and HTML. Raises UnusableTemplate."""
    subject, text, html = all_compiled(sources)
    return (
        " ".join(_filled_in(subject, Context(values, autoescape=False)).split()),
        _filled_in(text, Context(values, autoescape=False)),
        links.harmless(_filled_in(html, Context(values))) if sources.html else "",
    )


# As many as are sent side by side; a version is sent to many, one after the other.
@lru_cache(maxsize=64)
def all_compiled(sources: Sources) -> tuple[Template, Template, Template]:
    """Raises UnusableTemplate."""
    subject, text, html = (compiled(source, name=name) for name, source in sources.parts)
    return subject, text, html


def _filled_in(template: Template, context: Context) -> str:
    part = template.name or ""
    try:
        return str(template.render(context))
    except Unfit as error:
        raise UnusableTemplate(f"The {part} cannot be filled in: {error}.", part=part) from None
    except Exception as error:  # noqa: BLE001
        # Whatever a filter makes of a value that it was not meant for, and that its error may quote.
        words = f"The {part} cannot be filled in: {type(error).__name__}"
        raise UnusableTemplate(f"{words}.", part=part, detail=f"{words}: {error}.") from None
