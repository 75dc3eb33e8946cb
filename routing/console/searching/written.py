"""Terms of a search as JSON, to be kept for as long as something is done with what they find."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from routing.console.searching import terms
from routing.console.searching.terms import Narrowing, Term

KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(terms.TaskIs, terms.StateIn, terms.TaskIn, terms.DomainIn, terms.QueueIn, terms.Since, terms.Until),
        *(terms.Lasted, terms.Argument, terms.Contains, terms.FinishedIn, terms.CountedIn),
    )
}


def write(found: Iterable[Term | Narrowing]) -> list[dict[str, Any]]:
    return [
        {"kind": type(term).__name__, **{each.name: _plain(getattr(term, each.name)) for each in fields(term)}}
        for term in found
    ]


def read(written: Iterable[dict[str, Any]]) -> tuple[Any, ...]:
    """Moments are those that were meant when it was written, whenever it is read."""
    return tuple(_term(**each) for each in written)


def _term(kind: str, **values: Any) -> Any:
    made = KINDS[kind]
    return made(**{each.name: _value(each.type, values[each.name]) for each in fields(made)})


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else value


def _value(kind: Any, value: Any) -> Any:
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is timedelta:
        return timedelta(seconds=value)
    return value if kind is str else tuple(value)
