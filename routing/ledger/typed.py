"""Headers and properties of other programs' messages as JSON that loses nothing of AMQP's types.

What JSON has a word for is itself. A time, a decimal, bytes and a number that is none are objects of one key, such as
``{"$timestamp": "2026-11-26T20:00:00Z"}``; a table that could be taken for one, or has a key that is no text, is a list
of pairs, ``{"$table": [[key, value], …]}``.
"""

import base64
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

TIMESTAMP, DECIMAL, BYTES, FLOAT, TABLE, OTHER = "$timestamp", "$decimal", "$bytes", "$float", "$table", "$other"

LONGEST_ID = 255
"""Bytes."""


def dumps(value: Any) -> str:
    return json.dumps(_encoded(value))


def loads(text: str) -> Any:
    """As py-amqp had it. A time is in UTC and naive, as py-amqp reads and writes it."""
    return json.loads(text, object_hook=_decoded)


def plain(text: str) -> Any:
    """For those who know JSON only, such as the arguments of a task: whatever else there was is text."""
    return _flat(loads(text))


def task_id(value: object) -> str | None:
    """A task's id, text or a number, as text; None for what the ledger could not keep as one."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    is_usable = "\0" not in text and 0 < len(text.encode(errors="surrogatepass")) <= LONGEST_ID
    return text if is_usable else None


def _encoded(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {FLOAT: str(value)}
        case datetime():
            return {TIMESTAMP: f"{value.astimezone(UTC) if value.tzinfo else value:%Y-%m-%dT%H:%M:%SZ}"}
        case Decimal():
            return {DECIMAL: str(value)}
        case bytes() | bytearray() | memoryview():
            return {BYTES: base64.b64encode(value).decode()}
        case list() | tuple():
            return [_encoded(each) for each in value]
        case Mapping():
            return _encoded_table(value)
        case _:
            # py-amqp reads no other type; whatever it is, it is not lost from sight.
            return {OTHER: repr(value)}


def _encoded_table(table: Mapping[Any, Any]) -> Any:
    pairs = [(_encoded(key), _encoded(value)) for key, value in table.items()]
    if all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs):
        return dict(pairs)
    return {TABLE: [list(pair) for pair in pairs]}


def _decoded(found: dict[str, Any]) -> Any:
    match found:
        case {"$timestamp": str(text)}:
            return datetime.fromisoformat(text).replace(tzinfo=None)
        case {"$decimal": str(text)}:
            return Decimal(text)
        case {"$bytes": str(text)}:
            return base64.b64decode(text)
        case {"$float": str(text)}:
            return float(text)
        case {"$table": list(pairs)}:
            return dict(pairs)
        case _:
            return found


def _flat(value: Any) -> Any:
    match value:
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%SZ}"
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case Decimal():
            return str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case list():
            return [_flat(each) for each in value]
        case dict():
            return {str(_flat(key)): _flat(each) for key, each in value.items()}
        case _:
            return value
