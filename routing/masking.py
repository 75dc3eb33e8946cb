"""Secret values are masked wherever somebody quotes them: in a text, in a value, and in an exception."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, time
from decimal import Decimal
from html import escape
from typing import Any
from urllib.parse import quote
from uuid import UUID

MASK = "••••••"
SHORTEST = 3
"""A shorter text stands in too many words to be looked for in what a server says."""
LONG = 6
"""From here on a text is looked for within values, too; a shorter one, such as a PIN, is part of too much else."""
_SLOTS = ("filename", "filename2", "strerror", "code", "value", "msg", "text", "object", "obj", "name", "path")
"""Of exceptions that are written in C, whose values are in no dictionary."""
_PLAIN = (int, float, Decimal, bytes, UUID, date, time)
_DEEPEST = 50
"""What is nested deeper refers to itself, and could not be stored."""
Secrets = Mapping[str, Any] | Sequence[Any]


class Mistake(Exception):
    """An exception of whatever kind, told without the secret values that its words may quote."""


def without(text: str, values: Secrets) -> str:
    """The text, in which secret values are masked: mail servers quote what they refuse, links above all."""
    for written in _written(values):
        text = text.replace(written, MASK)
    return text


def masked(value: Any, values: Secrets) -> Any:
    """A value as JSON has them, in which secret ones are masked; the very same object where there are none."""
    spellings, whole = _written(values, shortest=LONG), set(texts(values))
    return _masked(value, lambda text: MASK if text in whole else _replaced(text, spellings)) if whole else value


def told_without(error: Exception, values: Secrets) -> Exception:
    """The error, or where secret values were at hand one that says the same at the same place, with them masked.

    Not the same object, since its arguments, its causes and its notes are stored and logged, too.
    """
    if not values:
        return error
    words = ", because of ".join(f"{type(one).__name__}: {one}" for one in chain(error))
    return Mistake(without(words, values)).with_traceback(error.__traceback__)


def cleaned(error: BaseException, values: Secrets) -> BaseException:
    """The same error, with its kind and place, in all of which secret values are masked.

    Of one that cannot be changed, such as some that are written in C, comes what ``told_without`` makes of it.
    """
    spellings = _written(values)
    if not spellings:
        return error
    everything = list(_related(error))
    for one in everything:
        _clean(one, lambda text: _replaced(text, spellings))
    if isinstance(error, Exception) and any(_says(one, spellings) for one in everything):
        return told_without(error, values)
    return error


def chain(error: BaseException) -> Iterator[BaseException]:
    """It, and what caused it, as a traceback tells them."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        yield following
        seen.add(id(following))
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def texts(value: Any) -> Iterator[str]:
    """What a secret value is made of."""
    match value:
        case Mapping():
            yield from texts(list(value.values()))
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from texts(item)
        case bool() | None:
            return
        case _ if len(text := str(value)) >= SHORTEST:
            yield text


def _written(values: Secrets, *, shortest: int = SHORTEST) -> list[str]:
    """All spellings, the longest first: one secret may be part of another."""
    found = {written for secret in texts(values) if len(secret) >= shortest for written in _spellings(secret)}
    return sorted(found, key=len, reverse=True)


def _spellings(secret: str) -> set[str]:
    """As it may be quoted: in a page, in a link, by repr() and in JSON."""
    in_code = {repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    return {secret, escape(secret), quote(secret), quote(secret, safe=""), *in_code}


def _replaced(text: str, spellings: Iterable[str]) -> str:
    for written in spellings:
        text = text.replace(written, MASK)
    return text


def _masked(value: Any, mask: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        return value
    match value:
        case str():
            told = mask(value)
            return told if told != value else value
        case Mapping():
            pairs = {_masked(key, mask, depth + 1): _masked(each, mask, depth + 1) for key, each in value.items()}
            return pairs if pairs != value else value
        case list() | tuple() | set() | frozenset():
            items = [_masked(each, mask, depth + 1) for each in value]
            # Also of tuples with names.
            return items if items != list(value) else value
        case _:
            return _masked_whole(value, mask)


def _masked_whole(value: Any, mask: Any) -> Any:
    """As it is, or its words with a mask in them. Of what is no plain value, the words may ask a database."""
    if isinstance(value, bool) or not isinstance(value, _PLAIN):
        return value
    words = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return value if (told := mask(words)) == words else told


def _related(error: BaseException) -> Iterator[BaseException]:
    """It, its causes, whether told or not, and what it holds."""
    seen: dict[int, BaseException] = {}
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen[id(one)] = one
        inside = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        waiting += [one.__cause__, one.__context__, *inside, *one.args, *vars(one).values()]
    yield from seen.values()


def _clean(error: BaseException, mask: Any) -> None:
    def each(value: Any) -> Any:
        return value if isinstance(value, BaseException) else _masked(value, mask)

    error.args = tuple(map(each, error.args))
    for name, value in list(vars(error).items()):
        vars(error)[name] = each(value)
    for name in _SLOTS:
        with suppress(Exception):
            if (told := each(value := getattr(error, name))) is not value:
                setattr(error, name, told)


def _says(error: BaseException, spellings: Iterable[str]) -> bool:
    words = f"{error!s} {error!r}"
    return any(written in words for written in spellings)
