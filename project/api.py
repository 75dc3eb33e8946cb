"""The HTTP API under /api/v1/: its routers, and what each error becomes."""

import json
import logging
from typing import Any

from celery.exceptions import OperationalError as BrokerError
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError
from ninja.openapi.docs import Swagger
from ninja.openapi.schema import OpenAPISchema

import notifications.api
import routing.console.api
from notifications.attachments import StorageAway
from notifications.problems import InvalidNotification
from routing.console import api_description, problems
from routing.console.api_access import MissingScope
from routing.console.api_body import JsonBody
from routing.refusals import PayloadTooLarge

logger = logging.getLogger(__name__)

COME_BACK_AFTER = 10
"""Seconds."""


class Docs(Swagger):
    """With scripts from here; Ninja's own come from a public network, since it is no installed app."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        swagger = {**self.settings, "url": self.get_openapi_url(api, kwargs)}
        return render(request, self.template, {"api": api, "swagger_settings": json.dumps(swagger)})


class Api(NinjaAPI):
    """Whose description is finished by what Ninja does not know."""

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        described = super().get_openapi_schema(**kwargs)
        api_description.finish(described)
        return described


TAGS = {
    "Notifications": "What is to be said, and to whom.",
    "Deliveries": "What became of it, recipient by recipient.",
    "Suppressions": "The addresses that are not written to any more.",
    "Tasks": "The work behind all that.",
}

api = Api(
    title="Taskyard",
    version="1",
    description="Hands work to the pipeline and tells what became of it. Every call needs a token, which an "
    "administrator makes in the admin, under API tokens, and gives the scopes that it needs. Every error is an "
    "RFC 9457 problem. A call that was answered with 503 can be made again.",
    urls_namespace="api",
    docs=Docs(),
    parser=JsonBody(),
    openapi_extra={"tags": [{"name": name, "description": words} for name, words in TAGS.items()]},
)
api.add_router("", notifications.api.router)
api.add_router("", routing.console.api.router)

urls = api.urls


@api.exception_handler(AuthenticationError)
def _unauthorised(_request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return problems.response(401, str(error), headers={"WWW-Authenticate": 'Bearer realm="Taskyard"'})


@api.exception_handler(MissingScope)
def _forbidden(_request: HttpRequest, error: MissingScope) -> HttpResponse:
    need = f'Bearer realm="Taskyard", error="insufficient_scope", scope="{error.scope}"'
    return problems.response(403, str(error), headers={"WWW-Authenticate": need})


@api.exception_handler(Throttled)
def _too_fast(_request: HttpRequest, error: Throttled) -> HttpResponse:
    return problems.response(429, f"{error} Try again later.", headers={"Retry-After": str(error.wait or 1)})


@api.exception_handler(HttpError)
def _refused(_request: HttpRequest, error: HttpError) -> HttpResponse:
    # Ninja hides why the body cannot be taken; the cause still knows.
    if isinstance(error.__cause__, problems.Refused):
        return error.__cause__.response()
    return problems.response(error.status_code, f"{error}.")


@api.exception_handler(ValidationError)
def _unprocessable(_request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [{"field": _field(each["loc"]), "detail": each["msg"]} for each in error.errors]
    return _with_fields(errors)


@api.exception_handler(InvalidNotification)
def _invalid(_request: HttpRequest, error: InvalidNotification) -> HttpResponse:
    return _with_fields([{"field": problem.field, "detail": problem.detail} for problem in error.problems])


@api.exception_handler(RequestDataTooBig)
def _too_big(_request: HttpRequest, _error: RequestDataTooBig) -> HttpResponse:
    return problems.response(413, f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes.")


@api.exception_handler(PayloadTooLarge)
def _too_big_for_a_task(_request: HttpRequest, error: PayloadTooLarge) -> HttpResponse:
    return problems.response(413, f"{error} POST /notifications takes more, since it stores the text itself.")


@api.exception_handler(DataError)
def _unstorable(request: HttpRequest, error: DataError) -> HttpResponse:
    logger.error("%s was sent what the database does not take: %s", request.path, error)
    return problems.response(422, "A value is too long, or out of range; nothing was stored.")


@api.exception_handler(BrokerError)
def _broker_is_away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("The broker cannot be reached, so %s answered 503: %s", request.path, error)
    return _come_back("The message broker cannot be reached, so nothing was accepted.")


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def _database_is_away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("The database cannot be reached, so %s answered 503: %s", request.path, error)
    return _come_back("The database cannot be reached.")


@api.exception_handler(StorageAway)
def _storage_is_away(request: HttpRequest, error: StorageAway) -> HttpResponse:
    logger.error("%s answered 503: %s", request.path, error)
    return _come_back("The storage takes no files at the moment, so nothing was accepted.")


def _come_back(detail: str) -> HttpResponse:
    return problems.response(503, f"{detail} Try again later.", headers={"Retry-After": str(COME_BACK_AFTER)})


def _with_fields(errors: list[dict[str, str]]) -> HttpResponse:
    named = ", ".join(dict.fromkeys(error["field"] for error in errors))
    return problems.response(422, f"Correct {named} and send it again.", errors=errors)


def _field(location: tuple[str | int, ...]) -> str:
    """Ninja says ("body", name of the parameter, field, index) or ("query", field); callers know the last ones."""
    named = location[2:] if location[0] == "body" else location[1:]
    return ".".join(str(part) for part in named) or "body"
