"""What a mailing says: text in files, a template of an app or one of the admin's, filled from the columns of a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template import Engine, Template, TemplateDoesNotExist, TemplateSyntaxError

from notifications import channels, content
from notifications.content import Content
from notifications.flattening import flat
from notifications.recipients import Unusable
from notifications.templating import retiring, versions
from notifications.templating.rendering import Sources, UnusableTemplate, compiled, rendered
from notifications.templating.tables import TemplateVersion
from notifications.templating.variables import used as used_by

LINKS = frozenset({"unsubscribe_url", "preferences_url"})
"""What every message has."""


@dataclass(frozen=True, kw_only=True)
class Merge:
    """``names`` is what people call each of the sources."""

    sources: Sources
    names: Mapping[str, str]
    version: TemplateVersion | None = None
    """Where it is one of the admin's."""

    @cached_property
    def draft(self) -> dict[str, Any]:
        """What a notification is told to say."""
        if self.version:
            return {"template": self.version.template.name}
        return {**vars(self.sources), "is_merge": True}

    @cached_property
    def used(self) -> frozenset[str]:
        """The names that it expects to be given. Raises Unusable."""
        translations = versions.translations_of(self.version).values()
        templates = [
            _compiled(source, self.names[part])
            for said in (self.sources, *translations)
            for part, source in vars(said).items()
        ]
        needed = self.version.required if self.version else frozenset()
        return needed.union(*map(variables, templates))

    def content(self, values: Mapping[str, str]) -> Content:
        """As a recipient will read it, but for what is only made when it is sent. Raises UnusableTemplate."""
        return Content(*rendered(self.sources, values))

    def finished(self, values: Mapping[str, str]) -> Content:
        said = self.content(values)
        return content.finished(said.subject, said.text, said.html)

    def problem(self, values: Mapping[str, str]) -> str:
        """What is wrong with what this recipient would read; empty if nothing is. Raises UnusableTemplate."""
        said = self.content(values)
        found = channels.get("email").problems(
            subject=said.subject,
            text=said.text or said.html,
            html=said.html,
            sender=settings.DEFAULT_FROM_EMAIL,
            reply_to=(),
        )
        return " ".join(f"{problem.field} {problem.detail}" for problem in found).rstrip(".")

    def require(self, columns: Iterable[str]) -> None:
        """Raises Unusable for the first source that uses a variable which is none of the columns."""
        known = sorted(filter(None, columns))
        for part, source in vars(self.sources).items():
            used = variables(_compiled(source, self.names[part]))
            self._require(self.names[part], used.difference(known), known)
        if self.version:
            self._require(
                f"The template {self.version.template.name!r}", self.version.required.difference(known), known
            )

    def _require(self, name: str, missing: Iterable[str], known: Iterable[str]) -> None:
        if missing := sorted(missing):
            raise Unusable(
                f"{name} uses {_listed(missing)}, but the columns give only {_listed(known)}. "
                "Correct the template, or add the column."
            )


def load(*, subject: str | None, text: str, html: str | None = None) -> Merge:
    """``subject`` is a template itself; ``text`` names a file, a template of an app, or one of the admin, which has its
    own subject and HTML; ``html`` one of the first two. Raises Unusable.
    """
    source = _loaded(text)
    if source is None:
        return _of_admin(text, subject, html)
    if subject is None:
        raise Unusable(
            f"--subject is missing: {text} says only the text. Give it, such as --subject 'Hello {{{{ name }}}}'."
        )
    html_source = _loaded(html) if html else ""
    if html_source is None:
        raise Unusable(_no_template(html or ""))
    names = {"subject": "The subject", "text": text, "html": html or ""}
    sources = {"subject": flat(subject, name="The subject"), "text": source, "html": html_source}
    for part, one in sources.items():
        _compiled(one, names[part])
    return Merge(sources=Sources(**sources), names=names)


def variables(template: Template) -> set[str]:
    """The names that a template expects from its columns."""
    return used_by(template) - LINKS


def _of_admin(name: str, subject: str | None, html: str | None) -> Merge:
    try:
        version = versions.newest(name)
    except LookupError:
        raise Unusable(_no_template(name)) from None
    if refusal := retiring.refusal(version.template):
        raise Unusable(f"The template {refusal}.")
    if subject is not None or html is not None:
        raise Unusable(f"The template {name!r} of the admin brings its own subject and HTML. Leave those options out.")
    called = f"The template {name!r}"
    sources = Sources(subject=version.subject, text=version.text, html=version.html)
    return Merge(sources=sources, names=dict.fromkeys(vars(sources), called), version=version)


def _no_template(name: str) -> str:
    return f"There is no template {name!r}: neither a file of that name, nor one of an app, nor one of the admin."


def _loaded(name: str) -> str | None:
    """Put together from all that it includes; None if there is neither such a file nor such a template."""
    path = Path(name)
    try:
        if path.is_file():
            return flat(path.read_text(encoding="utf-8-sig"), name=name)
        return flat(str(Engine.get_default().get_template(name).source), name=name)
    except TemplateDoesNotExist:
        return None
    except UnicodeDecodeError:
        raise Unusable(f"{name} is not written in UTF-8. Save it so.") from None
    except OSError as error:
        raise Unusable(f"{name} cannot be read: {error.strerror}.") from None
    except TemplateSyntaxError as error:
        raise Unusable(f"{name} cannot be used: {error}.") from None


def _compiled(source: str, name: str) -> Template:
    """Raises Unusable."""
    try:
        return compiled(source, name=name.removeprefix("The ") if name.startswith("The ") else f"file {name}")
    except UnusableTemplate as error:
        raise Unusable(str(error)) from None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{{{{ {name} }}}}" for name in names)
