"""The variables that a template expects to be given, found in its source."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.template import Engine, Template
from django.template.base import FilterExpression, Node, Variable
from django.template.defaulttags import ForNode, WithNode
from django.template.loader_tags import ExtendsNode, IncludeNode
from django.template.smartif import TokenBase

ALWAYS_THERE = frozenset({"True", "False", "None", "forloop", "block"})
"""Names that Django and its tags set."""

_NAMING = ("asvar", "as_var", "target_var", "variable_name", "var_name")


def used(template: Template) -> set[str]:
    """Also by those that it extends or includes by name. Raises Django's TemplateDoesNotExist and TemplateSyntaxError.

    A name that a tag sets, such as the one of a loop, is none, wherever it stands.
    """
    parts = list(_parts(template, set()))
    found = {part.lookups[0] for part in parts if isinstance(part, Variable) and part.lookups}
    return found - {name for part in parts for name in _set_by(part)} - ALWAYS_THERE


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
