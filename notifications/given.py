"""Recipients as callers give them: an address, one with values, a row of a queryset, or a user."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from notifications import addresses
from notifications.addresses import InvalidAddress
from notifications.problems import InvalidNotification, Problem


@dataclass(frozen=True)
class Recipient:
    """Somebody to write to, with the values that only concern them."""

    to: str
    """``ann@example.org`` or ``Ann Example <ann@example.org>``."""
    context: Mapping[str, Any] = field(default_factory=dict)


Given = str | Recipient | Mapping[str, Any] | Any


def each(given: Given | Iterable[Given]) -> Iterator[Recipient]:
    """One recipient or many, read one at a time. Raises TypeError for what cannot be one."""
    if isinstance(given, str | Recipient | Mapping) or hasattr(given, "email"):
        yield _one(given)
        return
    rows = given.iterator(chunk_size=1000) if hasattr(given, "iterator") else given
    for row in rows:
        yield _one(row)


def check(to: Sequence[str]) -> None:
    """Raises InvalidNotification, which names each address that is none."""
    if isinstance(to, str):
        raise InvalidNotification([Problem("to", f"is a text; give a list: [{to!r}].")])
    if not to:
        raise InvalidNotification([Problem("to", "names no recipient.")])
    problems = []
    for number, text in enumerate(to):
        try:
            addresses.parse(text)
        except InvalidAddress as error:
            problems.append(Problem(f"to.{number}", f"cannot be used: {error}."))
    if problems:
        raise InvalidNotification(problems)


def _one(given: Given) -> Recipient:
    match given:
        case Recipient():
            return given
        case str():
            return Recipient(given)
        case Mapping() if isinstance(given.get("email"), str):
            return Recipient(given["email"], {name: value for name, value in given.items() if name != "email"})
    if isinstance(address := getattr(given, "email", None), str):
        return Recipient(address)
    raise TypeError(
        f"{given!r} is no recipient. Give an address, a Recipient, a mapping with “email”, or an object that has one."
    )
