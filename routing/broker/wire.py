"""A message's properties as the bytes that go to RabbitMQ. What comes with every message is made once.

py-amqp makes the bytes. Left to itself it takes longer over the twenty headers of a task than everything else that
publishing the task takes.
"""

from collections.abc import Mapping
from struct import pack
from typing import Any

from amqp import Message
from amqp.serialization import dumps

KEPT = 10_000
"""Of what is made once; then it begins anew."""
LONGEST = 64
"""Of what is kept, as Python writes it."""
_FLAGS = tuple((1 << (15 - place), name, kind) for place, (name, kind) in enumerate(Message.PROPERTIES))
_kept: dict[Any, bytes] = {}


def properties(values: Mapping[str, Any]) -> bytes:
    """As ``amqp.Message(**values)`` would be sent. Raises what py-amqp raises for what cannot be."""
    flags, parts = 0, []
    for flag, name, kind in _FLAGS:
        value = values.get(name)
        if value is not None:
            flags |= flag
            parts.append(_table(value) if kind == "F" else dumps(kind, (value,)))
    return pack(">H", flags) + b"".join(parts)


def _table(fields: Mapping[str, Any]) -> bytes:
    entries = b"".join(
        [_text(name, value) if type(value) is str else _entry(name, value) for name, value in fields.items()]
    )
    return pack(">I", len(entries)) + entries


def _text(name: str, value: str) -> bytes:
    """Most often of this message alone. Its bytes are those of an empty one, with another length."""
    start = _kept.get(name) or _keep(name, dumps("F", ({name: ""},))[4:-4])
    text = value.encode("utf-8", "surrogatepass")
    return start + pack(">I", len(text)) + text


def _entry(name: str, value: Any) -> bytes:
    # 1, 1.0 and True are equal, but not the same.
    key = (name, value) if value is None else (name, type(value), repr(value))
    known = _kept.get(key)
    if known is None:
        known = dumps("F", ({name: value},))[4:]
        if len(known) <= LONGEST:
            _keep(key, known)
    return known


def _keep(key: Any, made: bytes) -> bytes:
    if len(_kept) >= KEPT:
        _kept.clear()
    _kept[key] = made
    return made
