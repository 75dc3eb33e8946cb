"""The language of templates: Django's, with safe.py's tags and filters, plain data, and errors that tell the cure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from django.template import Context, Engine, Template, TemplateSyntaxError, VariableDoesNotExist
from django.template.base import FilterExpression, Lexer, Parser, Token, Variable
from django.template.context import BaseContext
from django.template.defaulttags import GroupedResult
from django.utils.safestring import SafeData, mark_safe

from notifications.templating import marks, safe
from routing.errors import PermanentError

_JOIN = safe.register.filters["join"]
_MAKERS = frozenset(
    safe.register.filters[name]
    for name in ("default", "default_if_none", "join", "linebreaks", "linebreaksbr", "unordered_list")
)
"""They make HTML, and escape what they make it of; or give what the template's author wrote."""
_VIEWS = ("items", "keys", "values")
"""What can be asked of a mapping, as in ``{% for name, price in prices.items %}``."""


class UnusableTemplate(PermanentError, ValueError):
    """A template that cannot be compiled or filled in; the message tells where and why, and quotes no value.

    ``detail`` may quote one, and is for the author, with samples.
    """

    def __init__(self, message: str, *, part: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.part = part
        """``subject``, ``text`` or ``HTML``; empty if it is not one of them alone."""
        self.detail = detail or message


def compiled(source: str, *, name: str) -> Template:
    """Raises UnusableTemplate."""
    try:
        template = _Template(source, name=name, engine=ENGINE)
    except Exception as error:  # noqa: BLE001
        # Whatever a tag makes of words that it was not meant for; also of too many tags in each other.
        token = getattr(error, "token", None)
        raise _unusable(name, getattr(token, "lineno", 1), _words(error, token)) from None
    if found := marks.unclosed(template.nodelist):
        raise _unusable(name, found.line, found.words)
    return template


class SafeEngine(Engine):
    default_builtins = ["notifications.templating.safe"]


ENGINE = SafeEngine(autoescape=True, debug=False, loaders=[("django.template.loaders.locmem.Loader", {})])


class _Template(Template):
    def compile_nodelist(self) -> Any:
        parser = _Parser(Lexer(self.source).tokenize(), {}, self.engine.template_builtins, self.origin)
        nodes = parser.parse()
        self.extra_data = parser.extra_data
        return nodes


class _Parser(Parser):
    def compile_filter(self, token: str) -> FilterExpression:
        return Expression(token, self)

    def find_filter(self, filter_name: str) -> Any:
        if filter_name in self.filters:
            return self.filters[filter_name]
        raise TemplateSyntaxError(_refusal("filter", filter_name, safe.REFUSED_FILTERS, safe.FILTERS))

    def invalid_block_tag(self, token: Token, command: str, parse_until: Iterable[str] | None = None) -> NoReturn:
        if command.startswith("end") or command in ("elif", "else", "empty"):
            expected = f"here {_any_of(parse_until)} is expected" if parse_until else "there is nothing that it ends"
            raise self.error(token, f"{{% {command} %}} does not fit; {expected}")
        raise self.error(token, _refusal("tag", command, safe.REFUSED_TAGS, safe.TAGS))

    def unclosed_block_tag(self, parse_until: Iterable[str]) -> NoReturn:
        command, token = self.command_stack.pop()
        raise self.error(token, f"{{% {command} %}} is not ended; write {_any_of(parse_until)}")


class Expression(FilterExpression):
    """``{{ name|filter:"argument" }}``, whose names are looked up in plain data only."""

    __slots__ = ()

    def __init__(self, token: str, parser: Parser) -> None:
        super().__init__(token, parser)
        if self.is_var:
            self.var = Data(self.var.var)
        self.filters = [
            (_guarded(function, args), [(given, Data(arg.var) if given else arg) for given, arg in args])
            for function, args in self.filters
        ]


class Data(Variable):
    """A name that is looked up in what JSON can hold: no attribute of an object is read, and nothing is called."""

    __slots__ = ()

    def _resolve_lookup(self, context: Context) -> Any:
        found: Any = context
        for name in self.lookups or ():
            found = _inside(found, name)
        return found


def _inside(found: Any, name: str) -> Any:
    """Raises VariableDoesNotExist."""
    if isinstance(found, BaseContext | Mapping):
        if name in found:
            return found[name]
        if name in _VIEWS and isinstance(found, Mapping):
            return list(getattr(found, name)())
    elif isinstance(found, GroupedResult) and name in GroupedResult._fields:
        return getattr(found, name)
    elif isinstance(found, Sequence) and name.isdecimal() and int(name) < len(found):
        return found[int(name)]
    raise VariableDoesNotExist("no %s", (name,))


def _guarded(function: Any, args: Iterable[tuple[bool, Any]]) -> Any:
    """The filter, whose output is escaped when shown, wherever a value could have left half a tag in it.

    Django takes for safe what a filter makes of a text that was: ``{{ "<b>"|cut:x }}``, ``{{ x|linebreaks|slice:n }}``.
    """
    chosen_by_value = any(given for given, _ in args)
    if function in _MAKERS and (function is _JOIN or not chosen_by_value):
        return function

    def guarded(value: Any, *others: Any) -> Any:
        made = function(value, *others)
        if not isinstance(made, str):
            return made
        is_safe = isinstance(value, SafeData) and getattr(function, "is_safe", False)
        if is_safe and not chosen_by_value and "<" not in made:
            return mark_safe(made)  # noqa: S308  (as Django would, and there is no tag in it)
        return made if type(made) is str else "".join(made)

    return guarded


def _refusal(kind: str, name: str, refused: Mapping[str, str], allowed: Sequence[str]) -> str:
    written = f"{{% {name} %}}" if kind == "tag" else f"|{name}"
    if name in refused:
        return f"{written} is not allowed: {refused[name]}. Allowed are {', '.join(allowed)}"
    close = get_close_matches(name, allowed, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"{written}: there is no such {kind}.{meant} There are {', '.join(allowed)}"


def _any_of(tags: Iterable[str]) -> str:
    *others, last = [f"{{% {tag} %}}" for tag in tags]
    return f"{', '.join(others)} or {last}" if others else last


def _words(error: Exception, token: Token | None) -> str:
    if isinstance(error, RecursionError):
        return "tags stand too deep in each other"
    # One that was not closed has swallowed the next.
    if token and (found := next((pair for pair in marks.PAIRS if pair[0] in token.contents), None)):
        return marks.without(*found)
    return re.sub(r" on line \d+", "", str(error)).rstrip(".") or type(error).__name__


def _unusable(name: str, line: int, words: str) -> UnusableTemplate:
    return UnusableTemplate(f"The {name} cannot be used: line {line}: {words}.", part=name)
