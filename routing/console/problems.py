"""Errors of the HTTP API, all in one form: RFC 9457, ``application/problem+json``."""

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Field, Schema

CONTENT_TYPE = "application/problem+json"
API = "/api/"
DOCS = f"{API}v1/docs"


class FieldProblem(Schema):
    field: str = Field(description="Where it is in the body, such as `subject` or `to.0`.")
    detail: str


class Problem(Schema):
    """What went wrong and what to do about it (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Unprocessable Entity"])
    status: int = Field(examples=[422])
    detail: str
    errors: list[FieldProblem] = Field(default=[], description="The fields that were wrong; empty for other errors.")


class Refused(Exception):
    """A call that cannot be taken as it is. The API answers with what it says."""

    def __init__(self, status: int, detail: str, *, errors: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, errors

    def response(self) -> HttpResponse:
        return response(self.status, self.detail, errors=self.errors)


def documented(*statuses: int) -> dict[int, type[Problem]]:
    """What an operation says of its errors: these, and those that any may come to."""
    return dict.fromkeys(sorted({*statuses, 400, 401, 403, 503}), Problem)


def response(
    status: int,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    return HttpResponse(_body(status, detail, errors), status=status, content_type=CONTENT_TYPE, headers=headers)


class ProblemMiddleware:
    """Gives this form to errors that Django answers before or instead of the API: it would send HTML."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self._get_response(request)
        in_api = f"{request.path}/".startswith(API)
        if in_api and answer.status_code >= HTTPStatus.BAD_REQUEST and "json" not in answer.get("Content-Type", ""):
            answer.content = _body(answer.status_code, _detail(request, answer), ())
            answer["Content-Type"] = CONTENT_TYPE
            # Counted for what Django had to say.
            answer["Content-Length"] = str(len(answer.content))
        return answer


def _body(status: int, detail: str, errors: Sequence[Mapping[str, str]]) -> bytes:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    return json.dumps(body).encode()


def _detail(request: HttpRequest, answer: HttpResponse) -> str:
    match answer.status_code:
        case HTTPStatus.NOT_FOUND:
            return f"There is nothing at {request.path}. {DOCS} lists what there is."
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{request.path} does not take {request.method}; use {answer['Allow']}."
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return "Something is wrong on our side; the log of the web process says what."
        case _:
            return "The request cannot be understood. Check its address, headers and body."
