"""Where providers and mail servers report bounces and complaints: JSON, or the report's own e-mail as it is.

Whoever reports shows an API token, or calls an address with the secret in it if it can only be given an address.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from ninja import Field, Schema
from pydantic import ConfigDict, TypeAdapter, ValidationError, model_validator

from notifications.api_scopes import SUPPRESSIONS_WRITE
from notifications.consent import feedback, reports
from notifications.consent.feedback import Kind, Recorded, Told
from notifications.consent.reports import NotUnderstood
from routing.console import problems, tokens

LARGEST = 5_000_000
"""Bytes of a body."""
MOST = 1_000
"""Events of a body."""
COME_BACK_AFTER = 10
"""Seconds."""

_JSON, _MAIL = "application/json", ("message/rfc822", "message/global")
View = Callable[..., HttpResponse]


class Event(Schema):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["hard_bounce", "soft_bounce", "complaint"]
    message_id: str = Field("", max_length=1_000)
    address: str = Field("", max_length=400)
    status: str = Field("", pattern=r"^([245]\.\d{1,3}\.\d{1,3})?$")
    detail: str = Field("", max_length=4_000)
    id: str = Field("", max_length=400)
    at: str = Field("", max_length=100)

    @model_validator(mode="after")
    def _identified(self) -> "Event":
        if not (self.message_id or self.address):
            raise ValueError("Give message_id, address or both.")
        if self.address and not feedback.address_key(self.address):
            raise ValueError(f"address is {self.address!r}, which is no e-mail address, such as name@example.org.")
        return self

    @property
    def told(self) -> Told:
        # Who calls it hard, and gives no reason, has judged by all that it knows.
        judged = self.kind == "hard_bounce" and not self.status
        words: dict[str, Any] = self.dict(exclude={"kind"})
        return Told(kind=Kind(self.kind), blames_address=True if judged else None, **words)


_EVENTS: TypeAdapter[list[Event]] = TypeAdapter(Annotated[list[Event], Field(max_length=MOST)])


class _Refused(Exception):
    def __init__(self, status: int, detail: str, **answer: Any) -> None:
        super().__init__(detail)
        self.answer = problems.response(status, detail, **answer)


def _answering(view: View) -> View:
    @wraps(view)
    def answered(request: HttpRequest, **words: str) -> HttpResponse:
        try:
            return view(request, **words)
        except _Refused as refused:
            return refused.answer
        except (OperationalError, InterfaceError):
            later = {"Retry-After": str(COME_BACK_AFTER)}
            return problems.response(503, "The database cannot be reached. Send it again later.", headers=later)

    return answered


@csrf_exempt
@_answering
def events(request: HttpRequest, *, secret: str | None = None) -> HttpResponse:
    if request.method != "POST":
        raise _Refused(405, "Events are sent here by POST.", headers={"Allow": "POST"})
    source = _with_token(request) if secret is None else _with_secret(secret)
    body = _body(request)
    try:
        told = _understood(request.content_type or "", body)
    except NotUnderstood as error:
        kept = feedback.keep(body, why=str(error), source=source)
        detail = f"{error} It is kept, and an operator finds it under Bounces and complaints, number {kept.pk}."
        raise _Refused(422, detail) from None
    return JsonResponse({"events": [_said(feedback.record(each, source=source)) for each in told]})


def _with_token(request: HttpRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer" or not token.strip():
            raise tokens.UnknownToken(f"Send a token in the header “Authorization: Bearer {tokens.PREFIX}…”.")
        found = tokens.authenticate(token.strip())
    except tokens.UnknownToken as error:
        raise _Refused(401, str(error), headers={"WWW-Authenticate": 'Bearer realm="Taskyard"'}) from None
    if not found.may(SUPPRESSIONS_WRITE.name):
        raise _Refused(403, f"The token “{found.name}” lacks the scope {SUPPRESSIONS_WRITE.name}.")
    return f"token {found.name}"


def _with_secret(secret: str) -> str:
    # Each is compared, so that the time tells nothing.
    same = [constant_time_compare(secret, known) for known in settings.TASKYARD_FEEDBACK_SECRETS]
    if not any(same):
        raise _Refused(404, "There is nothing at this address.")
    return "the secret address"


def _body(request: HttpRequest) -> bytes:
    # Read past Django's limit, which is for forms: a report may hold the whole message.
    body = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise _Refused(
            413, f"The body is larger than {LARGEST:,} bytes. Report without the message, or its headers alone."
        )
    return body


def _understood(content_type: str, body: bytes) -> list[Told]:
    """Raises NotUnderstood."""
    if content_type in _MAIL:
        return reports.read(body)
    if content_type != _JSON:
        raise _Refused(
            415, f"Send {_JSON}, or a report's own e-mail as {_MAIL[0]}; this is {content_type or 'nothing'!r}."
        )
    try:
        given = json.loads(body)
        return [event.told for event in _EVENTS.validate_python(given if isinstance(given, list) else [given])]
    except ValidationError as error:
        raise NotUnderstood(" ".join(_in_words(each) for each in error.errors()[:5])) from None
    except (ValueError, RecursionError) as error:
        raise NotUnderstood(f"It is no JSON: {error}.") from None


def _in_words(error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}: {error['msg'].removeprefix('Value error, ')}".rstrip(".") + "."


def _said(recorded: Recorded) -> dict[str, Any]:
    row = recorded.row
    return {
        "number": row.pk,
        "kind": row.kind,
        "delivery": row.delivery_id,
        "is_new": recorded.is_new,
        "effect": row.effect or "noted",
    }
