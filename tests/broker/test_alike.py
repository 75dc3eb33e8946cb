"""Properties made from those of another message are the very bytes that they would be by themselves."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from routing.broker import alike, outgoing
from routing.broker.sending import UNSERIALISABLE
from routing.ledger.outbox import Publication

pytestmark = pytest.mark.any_database

ID, OTHER = "0f1b1c52-6a8e-4f3c-9d57-1f0f5a3a9f11", "7c9a4b8e-52c1-4a5d-8e0f-2b6d3c4e5f60"


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "_known", {})
    monkeypatch.setattr(alike, "_places_of", {})


def message(task_id: str, *, epoch: int = 1, attempt: int = 1, **fields: Any) -> Publication:
    headers = {
        "lang": "py",
        "task": "reporting.probe",
        "id": task_id,
        "shadow": None,
        "eta": "2026-11-28T05:00:00",
        "timelimit": [900, None],
        "root_id": task_id,
        "argsrepr": "(1, 'two')",
        "kwargsrepr": "",
        "origin": "100 %s of it@host",
        "stamps": {"asked by": ["me"]},
    }
    return Publication(
        id=1,
        message_id=task_id,
        epoch=epoch,
        queue="reporting",
        failures=0,
        attempt=attempt,
        headers=json.dumps(headers | fields),
        properties=json.dumps({"correlation_id": task_id, "priority": 4, "reply_to": "somebody"}),
        body="[[], {}, {}]",
    )


def test_the_third_of_a_kind_is_made_without_looking_into_it() -> None:
    serialise = Mock(side_effect=outgoing.properties)
    for task_id in (ID, OTHER):
        alike.serialised(message(task_id), serialise)
    serialise.reset_mock()
    third = message("11111111-2222-3333-4444-555555555555", argsrepr="(9, 'ten')", origin="another%d sent@it")

    made = alike.serialised(third, serialise)

    assert made == outgoing.properties(third)
    serialise.assert_not_called()


@pytest.mark.parametrize(
    "fields",
    [
        {"argsrepr": "(1, 'three and more')"},
        {"argsrepr": "('a \"quoted\" one',)"},
        {"argsrepr": "('größer',)"},
        {"argsrepr": "(': ', ', ')"},
        {"stamps": {"asked by": ["somebody"]}},
        {"stamps": {"asked of": ["me"]}},
        {"stamps": {"deep": [{"er": ["", ": ", "]"]}]}},
        {"timelimit": [900, 901]},
        {"shadow": True},
        {"shadow": 1},
        {"shadow": 1.0},
        {"shadow": "null"},
        {"group": ID, "group_index": 3},
        {"id": "another one"},
        {"eta": None},
        {"expires": "2026-11-28T06:00:00"},
        {"retries": 7},
        {"epoch": 3},
        {"attempt": 2},
        {"taskyard_epoch": "not ours"},
    ],
)
def test_whatever_else_differs_is_told(fields: dict[str, Any]) -> None:
    for task_id in (ID, OTHER, ID):
        alike.serialised(message(task_id), outgoing.properties)
    different = message(OTHER, **fields)

    for _ in range(4):
        assert alike.serialised(different, outgoing.properties) == outgoing.properties(different)


_TEXTS = some.text(max_size=12) | some.sampled_from([ID, "", "%s", "%", '"', "\\", ": ", "a", "id"])
_VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**40), 2**40) | some.floats(allow_nan=False) | _TEXTS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    headers=some.dictionaries(_TEXTS, _VALUES, max_size=5),
    properties=some.dictionaries(some.sampled_from(["correlation_id", "reply_to", "type", "else"]), _TEXTS),
    ids=some.lists(some.sampled_from([ID, OTHER, "a", "1", "größe", 'a"b']), min_size=4, max_size=6),
    ascii_only=some.booleans(),
)
def test_any_messages_come_out_as_by_themselves(
    headers: dict[str, Any], properties: dict[str, Any], ids: list[str], ascii_only: bool
) -> None:
    for task_id in ids:
        one = replace(
            message(task_id),
            headers=json.dumps(headers | {"id": task_id, "root_id": task_id}, ensure_ascii=ascii_only),
            properties=json.dumps(properties, ensure_ascii=ascii_only),
        )
        assert _outcome(one, lambda it: alike.serialised(it, outgoing.properties)) == _outcome(one, outgoing.properties)


def _outcome(publication: Publication, serialise: Any) -> Any:
    try:
        return serialise(publication)
    except UNSERIALISABLE as error:
        return type(error)


def test_two_texts_of_which_one_is_told_twice_are_not_guessed_at() -> None:
    """Whoever serialises otherwise, one day, is asked each time."""

    def twice(publication: Publication) -> bytes:
        return (publication.message_id * 2).encode()

    for task_id in (ID, OTHER, ID, OTHER):
        assert alike.serialised(message(task_id), twice) == (task_id * 2).encode()


def test_what_cannot_be_read_is_refused_each_time() -> None:
    for task_id in (ID, OTHER, ID):
        alike.serialised(message(task_id), outgoing.properties)
    unclosed = message(ID).headers + '"' + "Z" * len(ID)
    with pytest.raises(ValueError, match=r"line 1"):
        alike.serialised(replace(message(ID), headers=unclosed), outgoing.properties)
    for broken in ("no JSON", '{"a": "b', '{"a": }', '"'):
        for _ in range(4):
            with pytest.raises(ValueError, match=r"line 1"):
                alike.serialised(replace(message(ID), headers=broken), outgoing.properties)


def test_no_more_is_kept_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "KEPT", 10)

    for number in range(100):
        for _ in range(3):
            one = message(ID, argsrepr="x" * number, stamps={"a": [number]})
            assert alike.serialised(one, outgoing.properties) == outgoing.properties(one)

    assert len(alike._known) <= 10
    assert len(alike._places_of) <= 10


@pytest.mark.parametrize("stamps", [{"a": list(range(alike.LONGEST))}, {"a": ["x"] * alike.MOST_TEXTS}])
def test_of_what_is_long_nothing_is_kept(stamps: dict[str, Any]) -> None:
    for _ in range(3):
        one = message(ID, stamps=stamps)
        assert alike.serialised(one, outgoing.properties) == outgoing.properties(one)

    assert not alike._known
    assert not alike._places_of


def test_both_hands_of_a_relay_may_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "KEPT", 3)

    def many(first: int) -> bool:
        messages = [message(f"{number:036}", argsrepr="x" * (number % 7)) for number in range(first, first + 700)]
        return all(alike.serialised(one, outgoing.properties) == outgoing.properties(one) for one in messages)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(many, (0, 10_000))) == [True, True]
