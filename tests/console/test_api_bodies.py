"""Bodies and headers that no program should send: each is a problem that says what is wrong."""

import json
from typing import Any

import pytest
from django.test import Client, RequestFactory
from ninja.errors import Throttled

from routing.console.api_body import MAX_DEPTH
from routing.ledger.tables import Message
from tests.api_client import Api, assert_problem, fields, new_token

pytestmark = pytest.mark.django_db

LETTER: dict[str, Any] = {"to": ["ann@example.org"], "subject": "Hello", "text": "It works.\n"}


@pytest.fixture
def api(db: None) -> Api:
    return Api(new_token())


def with_context(value: str) -> str:
    return json.dumps({**LETTER, "context": {"name": "X"}}).replace('"X"', value)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("body", "cure"),
    [
        ("{", "line 1, column 2"),
        (b'{"to": "\xff"}', "not in UTF-8"),
        (with_context("NaN"), "NaN is no number"),
        (with_context("-Infinity"), "-Infinity is no number"),
        (with_context("1e999"), "1e999 is too large"),
        (with_context("9" * 5000), "too large a number"),
        (with_context(nested(100_000)), "nested too deeply"),
    ],
)
def test_what_is_no_json_that_can_be_kept_is_refused(api: Api, body: str | bytes, cure: str) -> None:
    for path in ("notifications", "emails"):
        assert_problem(api.post(path, body), 400, cure)
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("body", "field", "cure"),
    [
        ({**LETTER, "text": "a\0b"}, "text", "NUL"),
        ({**LETTER, "to": [{"to": "ann@example.org", "context": {"name": "\0"}}]}, "to.0.context.name", "NUL"),
        ({**LETTER, "context": {"a\0b": 1}}, "context.a?b", "as a name has a NUL"),
        ({**LETTER, "context": {"name": "\ud800"}}, "context.name", "surrogate"),
        ({**LETTER, "\udfff": 1}, "?", "surrogate"),
        ("\0", "body", "NUL"),
    ],
)
def test_text_that_no_database_keeps_is_named(api: Api, body: Any, field: str, cure: str) -> None:
    answer = api.post("notifications", json.dumps(body))

    assert_problem(answer, 422, "Correct the body")
    assert cure in fields(answer)[field]


def test_how_deep_a_body_may_be(api: Api) -> None:
    as_deep_as_can_be = api.post("notifications", with_context(nested(MAX_DEPTH - 2)))
    deeper = api.post("notifications", with_context(nested(MAX_DEPTH - 1)))

    assert list(fields(as_deep_as_can_be)) == ["context"]
    assert f"more than {MAX_DEPTH} levels" in str(fields(deeper))


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(api: Api, kind: str) -> None:
    assert_problem(api.post("notifications", LETTER, content_type=kind), 415, "application/json")


def test_the_first_operation_asks_for_no_content_type_as_it_never_did(api: Api) -> None:
    assert api.post("emails", LETTER, content_type="application/x-www-form-urlencoded").status_code == 202


def test_a_charset_beside_the_content_type_is_taken(api: Api) -> None:
    assert api.post("notifications", LETTER, content_type="application/json; charset=utf-8").status_code == 202


def test_headers_that_come_twice_are_refused(api: Api) -> None:
    # As every server hands them on: joined by a comma.
    twice = {"authorization": "Bearer ty_a, Bearer ty_b"}

    assert_problem(Client(headers=twice).get("/api/v1/tasks/1"), 401, "unknown")
    assert "sent once" in str(fields(api.post("notifications", LETTER, idempotency_key="7, 7")))
    assert_problem(api.post("notifications", LETTER, content_type="application/json, application/json"), 415, "JSON")


def test_a_program_that_is_too_fast_is_told_when_to_come_back() -> None:
    from project.api import api as described

    answer = described.on_exception(RequestFactory().get("/"), Throttled(wait=3))

    assert (answer.status_code, answer["Retry-After"]) == (429, "3")
    assert json.loads(answer.content)["detail"] == "Too many requests. Try again later."


@pytest.mark.parametrize("method", ["patch", "delete", "options", "trace", "head"])
def test_another_method_is_told_which_there_are(api: Api, method: str) -> None:
    answer = getattr(Client(), method)("/api/v1/notifications")

    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_a_text_that_is_too_large_for_a_task_is_told_what_takes_it(api: Api) -> None:
    letter = {**LETTER, "text": "ü" * 400_000}

    assert_problem(api.post("emails", letter), 413, "POST /notifications takes more")
    assert api.post("notifications", json.dumps(letter, ensure_ascii=False)).status_code == 202
