"""Tags and filters whose output could grow without end, with an end."""

from typing import Any

from django.template import Context, Node, NodeList, defaultfilters
from django.template.base import Parser, Token
from django.template.defaulttags import ForNode, do_for

LONGEST = 1_000_000
"""Characters that all loops of a template write, and that a filter may put together."""
A_ROUND = 10
"""What a round of a loop costs, in characters, if it writes nothing."""
MOST_DIGITS = 20
_SPENT = "taskyard_characters_in_loops"


class Unfit(ValueError):
    """A value that a template cannot be filled in with. The message never quotes the value: it may be secret."""


class Metered(Node):
    """The inside of a loop. Loops in loops multiply, so what counts is what they write."""

    child_nodelists = ("nodelist",)

    def __init__(self, nodelist: Any) -> None:
        self.nodelist = nodelist

    def render(self, context: Context) -> Any:
        said = self.nodelist.render(context)
        spent: int = (context.render_context.get(_SPENT) or 0) + A_ROUND + len(said)
        if spent > LONGEST:
            raise Unfit(f"its loops write more than {LONGEST:,} characters")
        context.render_context[_SPENT] = spent
        return said


def for_tag(parser: Parser, token: Token) -> ForNode:
    node = do_for(parser, token)
    node.nodelist_loop = NodeList([Metered(node.nodelist_loop)])
    return node


def add(value: Any, arg: Any) -> Any:
    """Texts and lists can be doubled with it, and doubled again."""
    made = defaultfilters.add(value, arg)
    if isinstance(made, str | list):
        _within(len(made), "add")
    return made


def join(value: Any, arg: Any, autoescape: bool = True) -> Any:
    if isinstance(value, str | list):
        _within(len(value) * len(str(arg)), "join")
    return defaultfilters.join(value, arg, autoescape)


def floatformat(value: Any, arg: Any = -1) -> Any:
    digits = str(arg).strip("-gu") or "1"
    if not digits.isdecimal() or int(digits[:9]) > MOST_DIGITS:
        raise Unfit(f"floatformat takes a number of decimals of at most {MOST_DIGITS}")
    return defaultfilters.floatformat(value, arg)


def _within(length: int, name: str) -> None:
    if length > LONGEST:
        raise Unfit(f"{name} would put together more than {LONGEST:,} characters")
