"""Recipients as callers give them: an address, one with values, a row of a queryset, or a user."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.db.models import Manager, QuerySet

from notifications import addresses
from notifications.addresses import InvalidAddress
from notifications.problems import InvalidNotification, Problem

PAGE = 1000
"""Rows of a queryset that are in memory at once."""


@dataclass(frozen=True)
class Recipient:
    """Somebody to write to, with the values that only concern them."""

    to: str
    """``ann@example.org`` or ``Ann Example <ann@example.org>``."""
    context: Mapping[str, Any] = field(default_factory=dict)
    language: str = ""
    """That which they read, such as ``fr``; empty for that of the notification."""
    problem: str = ""
    """Why they cannot be written to, where whoever read the list knows it already."""


Given = str | Recipient | Mapping[str, Any] | Any


def each(given: Given | Iterable[Given], *, channel: str = "email") -> Iterator[Recipient]:
    """One recipient or many, read one at a time. Raises TypeError for what cannot be one.

    A queryset without an order is read by its primary key, so that it comes in the same order the next time.
    """
    one = _user if channel == "in_app" else _one
    if isinstance(given, str | Recipient | Mapping) or hasattr(given, "email"):
        yield one(given)
        return
    rows = given.all() if isinstance(given, Manager) else given
    for row in _rows(rows) if isinstance(rows, QuerySet) else rows:
        yield one(row)


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


def _rows(given: "QuerySet[Any]") -> Iterator[Any]:
    query = given.query
    if given.ordered or query.is_sliced or query.distinct or query.combinator or query.group_by is not None:
        # SQLite refuses to write on a connection that reads while another one has written.
        is_sqlite = connections[given.db].vendor == "sqlite"
        return iter(given) if is_sqlite else given.iterator(chunk_size=PAGE)
    return _by_key(given.order_by("pk"))


def _by_key(rows: "QuerySet[Any]") -> Iterator[Any]:
    """Page by page: no cursor stays open, which a pooler would not keep between transactions."""
    page = rows
    while keys := list(page.values_list("pk", flat=True)[:PAGE]):
        yield from page.filter(pk__lte=keys[-1])
        page = rows.filter(pk__gt=keys[-1])


def _user(given: Given) -> Recipient:
    """A user of this site by the name they sign in with, whatever e-mail address they have."""
    if not hasattr(given, "get_username"):
        return _one(given)
    language = getattr(given, "language", "")
    return Recipient(given.get_username(), language=language if isinstance(language, str) else "")


def _one(given: Given) -> Recipient:
    match given:
        case Recipient():
            return given
        case str():
            return Recipient(given)
        case Mapping() if "email" in given:
            values = {name: value for name, value in given.items() if name != "email"}
            return _addressed(given["email"], given, values, language=given.get("language", ""))
    if hasattr(given, "email"):
        return _addressed(given.email, given, {}, language=getattr(given, "language", ""))
    raise _no_recipient(given)


def _addressed(email: object, given: Given, context: Mapping[str, Any], *, language: object) -> Recipient:
    """A column that may be NULL leaves None, which is no address."""
    if isinstance(email, str) or email is None:
        return Recipient(email or "", context, language if isinstance(language, str) else "")
    raise _no_recipient(given)


def _no_recipient(given: Given) -> TypeError:
    return TypeError(
        f"{given!r} is no recipient. Give an address, a Recipient, a mapping with “email”, or an object that has one."
    )
