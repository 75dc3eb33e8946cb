"""A program that calls the HTTP API, in this process."""

import json
from typing import Any

from django.test import Client

from routing.console import scopes
from routing.console.tokens import ApiToken

PROBLEM = "application/problem+json"


def new_token(*names: str, called: str = "web shop") -> str:
    """With these scopes, or with all."""
    return ApiToken(name=called, scopes=" ".join(names or scopes.registry())).issue()


class Api:
    """A program with a token."""

    def __init__(self, token: str) -> None:
        self._client = Client(headers={"authorization": f"Bearer {token}"}, raise_request_exception=False)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("post", path, body, headers)

    def get(self, path: str) -> Any:
        return self._client.get(path if path.startswith("/") else f"/api/v1/{path}")

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("put", path, body, headers)

    def delete(self, path: str) -> Any:
        return self._client.delete(f"/api/v1/{path}")

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        raw = body if isinstance(body, str | bytes) else "" if body is None else json.dumps(body)
        kind = headers.pop("content_type", "application/json")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return getattr(self._client, method)(f"/api/v1/{path}", raw, content_type=kind, headers=named)


def assert_problem(answer: Any, status: int, words: str) -> None:
    body = answer.json()
    assert (answer.status_code, answer["Content-Type"]) == (status, PROBLEM), body
    assert (body["status"], body["type"]) == (status, "about:blank")
    assert words in body["detail"]


def fields(answer: Any) -> dict[str, str]:
    """What is wrong, by field."""
    return {error["field"]: error["detail"] for error in answer.json().get("errors", [])}
