"""Documents as JSON and back: each object is stored with its kind, so that one of a later release is told apart."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)
_CLASSES: dict[str, type] = {}
_KINDS: dict[type, str] = {}


def stored(kind: str) -> Callable[[Class], Class]:
    """The name under which a class is stored; it never changes, because stored reports are read for years."""

    def register(found: Class) -> Class:
        _CLASSES[kind], _KINDS[found] = found, kind
        return found

    return register


def as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"kind": "datetime", "at": value.isoformat()}
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    if kind := _KINDS.get(type(value)):
        return {"kind": kind} | {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    return value


def from_json(value: Any) -> Any:
    """What a later release added to an object is left out."""
    if isinstance(value, list):
        return tuple(map(from_json, value))
    if not isinstance(value, Mapping):
        return value
    if value["kind"] == "datetime":
        return datetime.fromisoformat(value["at"])
    found = _CLASSES[value["kind"]]
    known = {field.name for field in fields(found)}
    return found(**{name: from_json(item) for name, item in value.items() if name in known})
