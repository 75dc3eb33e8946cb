"""A template that extends or includes others, made into one that needs no other: workers fill it in elsewhere."""

import re
from collections.abc import Iterator, Mapping, Sequence

from django.template import Engine, TemplateDoesNotExist, TemplateSyntaxError
from django.template.base import Lexer, Token, TokenType

from notifications.recipients import Unusable

_QUOTED = re.compile(r"""(["'])(.+)\1\Z""", re.DOTALL)
_SUPER = re.compile(r"\{\{\s*block\.super\s*\}\}")

Blocks = Mapping[str, str]
"""The source that fills each block, from the templates that extend this one."""


def flat(source: str, *, name: str) -> str:
    """The same in one source. Raises Unusable for what is only known when it is filled in."""
    made = _expanded(source, {}, (name,))
    if "block.super" in made:
        raise Unusable(f"{name} uses {{{{ block.super }}}} together with something else. Let it stand alone.")
    return made


def _expanded(source: str, blocks: Blocks, within: tuple[str, ...]) -> str:
    """``within``: the templates that led here."""
    tokens = Lexer(source).tokenize()
    first = next((token for token in tokens if token.token_type == TokenType.BLOCK), None)
    if first is None or _tag(first) != "extends":
        return "".join(_pieces(tokens, blocks, within))
    parent = _named(first, within)
    own = dict(_blocks(tokens, within))
    above = {block: _SUPER.sub(lambda _, block=block: own.get(block, ""), text) for block, text in blocks.items()}  # type: ignore[misc]
    return _expanded(_source(parent, within), {**own, **above}, (*within, parent))


def _pieces(tokens: Sequence[Token], blocks: Blocks, within: tuple[str, ...]) -> Iterator[str]:
    rest = iter(tokens)
    for token in rest:
        tag = _tag(token)
        if tag == "extends":
            raise Unusable(f"{within[-1]} has {{% extends %}} in line {token.lineno}. It must be the first tag.")
        if tag == "include":
            yield _included(token, within)
        elif tag == "block":
            yield _block(token, _written(_inside(rest, token, within)), blocks, within)
        else:
            yield _as_written(token)


def _included(token: Token, within: tuple[str, ...]) -> str:
    name = _named(token, within)
    options = token.split_contents()[2:]
    if "only" in options:
        raise Unusable(f"{within[-1]} has {{% include … only %}} in line {token.lineno}. Leave “only” out.")
    source = _expanded(_source(name, within), {}, (*within, name))
    return f"{{% {' '.join(options)} %}}{source}{{% endwith %}}" if options else source


def _block(token: Token, own: str, blocks: Blocks, within: tuple[str, ...]) -> str:
    name = _block_name(token, within)
    text = _SUPER.sub(lambda _: own, blocks.get(name, own))
    others = {other: source for other, source in blocks.items() if other != name}
    return "".join(_pieces(Lexer(text).tokenize(), others, within))


def _blocks(tokens: Sequence[Token], within: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Those that a template fills, also the ones inside others."""
    rest = iter(tokens)
    for token in rest:
        if _tag(token) == "block":
            inside = list(_inside(rest, token, within))
            yield from _blocks(inside, within)
            yield _block_name(token, within), _written(inside)


def _inside(rest: Iterator[Token], opening: Token, within: tuple[str, ...]) -> Iterator[Token]:
    """What follows, up to the end of this block."""
    depth = 1
    for token in rest:
        depth += {"block": 1, "endblock": -1}.get(_tag(token), 0)
        if not depth:
            return
        yield token
    raise Unusable(f"{within[-1]} has {{% block %}} in line {opening.lineno} without {{% endblock %}}. Close it.")


def _block_name(token: Token, within: tuple[str, ...]) -> str:
    parts = token.split_contents()
    if len(parts) != 2:
        raise Unusable(f"{within[-1]} has {{% block %}} in line {token.lineno} without a name. Give it one.")
    return parts[1]


def _named(token: Token, within: tuple[str, ...]) -> str:
    """Which other template it names."""
    parts = token.split_contents()
    found = _QUOTED.match(parts[1]) if len(parts) > 1 else None
    if found is None:
        raise Unusable(
            f"{within[-1]} has {{% {token.contents} %}} in line {token.lineno}, whose template is not known yet. "
            "Write its name out, in quotes."
        )
    if found[2] in within:
        raise Unusable(f"{within[-1]} uses {found[2]} in line {token.lineno}, which leads back to it. Break the ring.")
    return found[2]


def _source(name: str, within: tuple[str, ...]) -> str:
    try:
        return str(Engine.get_default().get_template(name).source)
    except (TemplateDoesNotExist, TemplateSyntaxError) as error:
        raise Unusable(f"{within[-1]} uses another template that cannot be used: {error}.") from None


def _tag(token: Token) -> str:
    words = token.contents.split(maxsplit=1) if token.token_type == TokenType.BLOCK else []
    return words[0] if words else ""


def _written(tokens: Iterator[Token] | Sequence[Token]) -> str:
    return "".join(map(_as_written, tokens))


def _as_written(token: Token) -> str:
    match token.token_type:
        case TokenType.VAR:
            return f"{{{{ {token.contents} }}}}"
        case TokenType.BLOCK:
            return f"{{% {token.contents} %}}"
        case TokenType.COMMENT:
            return ""
    return str(token.contents)
