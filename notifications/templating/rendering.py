"""Fills templates in. They are Django's, with the tags and filters that can do no harm, and always escape HTML."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.template import Context, Engine, Template, TemplateSyntaxError

from routing.errors import PermanentError


class UnusableTemplate(PermanentError, ValueError):
    """A template that cannot be compiled or filled in; the message tells where and why."""


@dataclass(frozen=True)
class Sources:
    subject: str
    text: str
    html: str


class SafeEngine(Engine):
    default_builtins = ["notifications.templating.safe"]


ENGINE = SafeEngine(autoescape=True, debug=False, loaders=[("django.template.loaders.locmem.Loader", {})])


def compiled(source: str, *, name: str) -> Template:
    """Raises UnusableTemplate."""
    try:
        return Template(source, name=name, engine=ENGINE)
    except TemplateSyntaxError as error:
        raise UnusableTemplate(f"The {name} cannot be used: {error}.") from None


def rendered(sources: Sources, values: Mapping[str, Any]) -> tuple[str, str, str]:
    """Subject, text and HTML. Raises UnusableTemplate."""
    subject, text, html = _all(sources)
    try:
        return (
            " ".join(subject.render(Context(values, autoescape=False)).split()),
            text.render(Context(values, autoescape=False)),
            html.render(Context(values)),
        )
    except Exception as error:
        # Whatever a filter makes of a value that it was not meant for.
        raise UnusableTemplate(f"It cannot be filled in: {type(error).__name__}: {error}.") from error


@lru_cache(maxsize=64)
def _all(sources: Sources) -> tuple[Template, Template, Template]:
    return (
        compiled(sources.subject, name="subject"),
        compiled(sources.text, name="text"),
        compiled(sources.html, name="HTML"),
    )
