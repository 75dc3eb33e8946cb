"""Templates filled from the columns of a row: a subject, a text and perhaps HTML."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.template import Context, Engine, Template, TemplateDoesNotExist, TemplateSyntaxError
from django.template.base import FilterExpression, Node, TextNode, Variable
from django.template.defaulttags import ForNode, WithNode
from django.template.loader_tags import ExtendsNode, IncludeNode
from django.template.smartif import TokenBase

from notifications.recipients import Unusable

ALWAYS_THERE = frozenset({"True", "False", "None", "forloop", "block"})
"""Names that Django and its tags set."""

_NAMING = ("asvar", "as_var", "target_var", "variable_name")


@dataclass(frozen=True, kw_only=True)
class Email:
    to: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, kw_only=True)
class Merge:
    subject: Template
    text: Template
    html: Template | None = None

    def email(self, to: str, values: Mapping[str, str]) -> Email:
        return Email(
            to=to,
            subject=self.subject.render(Context(values, autoescape=False)),
            text=self.text.render(Context(values, autoescape=False)),
            html=self.html.render(Context(values)) if self.html else "",
        )

    def require(self, columns: Iterable[str]) -> None:
        """Raises Unusable for the first template that uses a variable which is none of the columns."""
        known = sorted(filter(None, columns))
        for template in filter(None, (self.subject, self.text, self.html)):
            if missing := sorted(variables(template).difference(known)):
                raise Unusable(
                    f"{template.name} uses {_listed(missing)}, but the columns give only {_listed(known)}. "
                    "Correct the template, or add the column."
                )


def load(*, subject: str, text: str, html: str | None = None) -> Merge:
    """``subject`` is a template itself; the others name a file, or a template of an app. Raises Unusable."""
    return Merge(subject=_compiled(subject, "The subject"), text=_loaded(text), html=_loaded(html) if html else None)


def variables(template: Template) -> set[str]:
    """The names that a template, and those it extends or includes by name, expects to be given. Raises Unusable."""
    try:
        parts = list(_parts(template, set()))
    except (TemplateDoesNotExist, TemplateSyntaxError) as error:
        raise Unusable(f"{template.name} uses another template that cannot be used: {error}.") from None
    used = {part.lookups[0] for part in parts if isinstance(part, Variable) and part.lookups}
    return used - {name for part in parts for name in _set_by(part)} - ALWAYS_THERE


def _loaded(name: str) -> Template:
    path = Path(name)
    try:
        if path.is_file():
            return _compiled(path.read_text(encoding="utf-8-sig"), name)
        return Engine.get_default().get_template(name)
    except TemplateDoesNotExist:
        raise Unusable(
            f"There is no template {name!r}: neither a file of that name nor a template of an app."
        ) from None
    except UnicodeDecodeError:
        raise Unusable(f"{name} is not written in UTF-8. Save it so.") from None
    except OSError as error:
        raise Unusable(f"{name} cannot be read: {error.strerror}.") from None
    except TemplateSyntaxError as error:
        raise Unusable(f"{name} cannot be used: {error}.") from None


def _compiled(source: str, name: str) -> Template:
    try:
        template = Template(source, name=name, engine=Engine.get_default())
    except TemplateSyntaxError as error:
        raise Unusable(f"{name} cannot be used: {error}.") from None
    # Django takes a tag that nobody closed for text, and every recipient would read it.
    for text in template.nodelist.get_nodes_by_type(TextNode):
        for mark, closing in (("{{", "}}"), ("{%", "%}")):
            if mark in getattr(text, "s", ""):
                raise Unusable(f"{name} has {mark} without {closing}. Close it.")
    return template


def _parts(value: Any, visited: set[str]) -> Iterator[Any]:
    """The nodes and variables of a template, at any depth; ``visited`` names the templates gone through."""
    match value:
        case Variable():
            yield value
        case Node():
            yield value
            yield from _parts([*vars(value).values(), *_other_template(value, visited)], visited)
        case FilterExpression():
            yield from _parts([value.var, value.filters], visited)
        case TokenBase():
            yield from _parts(list(vars(value).values()), visited)
        case Template():
            yield from _parts(value.nodelist, visited)
        case dict():
            yield from _parts(list(value.values()), visited)
        case list() | tuple():
            for item in value:
                yield from _parts(item, visited)


def _other_template(node: Node, visited: set[str]) -> Iterator[Template]:
    """What a node extends or includes, where its name is written out."""
    attribute = {ExtendsNode: "parent_name", IncludeNode: "template"}.get(type(node))
    name = getattr(getattr(node, attribute), "var", None) if attribute else None
    if isinstance(name, str) and name not in visited:
        visited.add(name)
        yield Engine.get_default().get_template(name)


def _set_by(node: Any) -> Iterable[str]:
    if isinstance(node, ForNode):
        return list(node.loopvars)
    if isinstance(node, WithNode | IncludeNode):
        return list(node.extra_context)
    return [getattr(node, name) for name in _NAMING if isinstance(getattr(node, name, None), str)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{{{{ {name} }}}}" for name in names)
