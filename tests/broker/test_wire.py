"""Properties are the very bytes that py-amqp would send, and what it refuses is refused."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from amqp import Message

from routing.broker import wire
from routing.broker.sending import UNSERIALISABLE

pytestmark = pytest.mark.any_database

HEADERS: list[dict[Any, Any]] = [
    {},
    {"id": "a", "root_id": "a", "shadow": None, "retries": 0, "ignore_result": False, "timelimit": [None, None]},
    {"number": 1}, {"number": True}, {"number": 1.0}, {"number": 0}, {"number": False}, {"number": 2**40},
    {"text": ""}, {"text": "é\U0001f600\ud800"}, {"text": "x" * 5000}, {"text": b"bytes"}, {"text": None},
    {"deep": {"a": [1, {"b": None}]}}, {"deep": {}}, {"deep": []}, {"deep": [1]}, {"deep": [True]},
    {"price": Decimal("1.25")}, {"at": datetime(2026, 11, 16, tzinfo=UTC)}, {"é": "é"}, {b"name": "x"},
]  # fmt: skip


@pytest.mark.parametrize("headers", HEADERS)
def test_they_are_the_bytes_of_py_amqp_the_first_time_and_the_next(headers: dict[str, Any]) -> None:
    values = {"correlation_id": "c", "reply_to": "", "priority": 3, "application_headers": headers}
    expected = Message("", **values)._serialize_properties()  # type: ignore[attr-defined]

    assert wire.properties(values) == expected
    assert wire.properties(values) == expected


@pytest.mark.parametrize(
    "values",
    [
        {"priority": 300},
        {"reply_to": "x" * 300},
        {"application_headers": {"x": object()}},
        {"application_headers": {"x" * 300: "y"}},
        {"application_headers": {1: "y"}},
        {"application_headers": {"x": 2**70}},
        {"application_headers": "text"},
    ],
)
def test_what_cannot_be_sent_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UNSERIALISABLE):
        Message("", **values)._serialize_properties()  # type: ignore[attr-defined]

    for _ in range(2):
        with pytest.raises(UNSERIALISABLE):
            wire.properties(values)


def test_no_more_is_kept_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_kept", {})
    monkeypatch.setattr(wire, "KEPT", 10)

    for number in range(100):
        wire.properties({"application_headers": {"number": number, "text": "x" * number}})

    assert len(wire._kept) <= 10
