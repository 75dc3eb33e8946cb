"""The HTTP API under /api/v1/: its routers, and what each error becomes."""

import json
import logging
from typing import Any

from celery.exceptions import OperationalError as BrokerError
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.docs import Swagger

import notifications.api
import routing.console.api
from notifications.problems import InvalidNotification
from routing.console import problems

logger = logging.getLogger(__name__)

COME_BACK_AFTER = 10
"""Seconds."""


class Docs(Swagger):
    """With scripts from here; Ninja's own come from a public network, since it is no installed app."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        swagger = {**self.settings, "url": self.get_openapi_url(api, kwargs)}
        return render(request, self.template, {"api": api, "swagger_settings": json.dumps(swagger)})


api = NinjaAPI(
    title="Taskyard",
    version="1",
    description="Hands work to the pipeline and tells what became of it. Every call needs a token, which an "
    "administrator makes in the admin, under API tokens. Every error is an RFC 9457 problem.",
    urls_namespace="api",
    auth=routing.console.api.BearerToken(),
    docs=Docs(),
)
api.add_router("", notifications.api.router)
api.add_router("", routing.console.api.router)

urls = api.urls


@api.exception_handler(AuthenticationError)
def _unauthorised(_request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return problems.response(401, str(error), headers={"WWW-Authenticate": 'Bearer realm="Taskyard"'})


@api.exception_handler(HttpError)
def _refused(_request: HttpRequest, error: HttpError) -> HttpResponse:
    # Ninja hides why the body cannot be parsed; the cause still knows.
    cause = error.__cause__
    if isinstance(cause, json.JSONDecodeError):
        return problems.response(
            error.status_code, f"The body is no JSON: {cause.msg}, at line {cause.lineno}, column {cause.colno}."
        )
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


@api.exception_handler(BrokerError)
def _broker_is_away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("The broker cannot be reached, so %s answered 503: %s", request.path, error)
    return _come_back("The message broker cannot be reached, so nothing was accepted.")


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def _database_is_away(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("The database cannot be reached, so %s answered 503: %s", request.path, error)
    return _come_back("The database cannot be reached.")


def _come_back(detail: str) -> HttpResponse:
    return problems.response(503, f"{detail} Try again later.", headers={"Retry-After": str(COME_BACK_AFTER)})


def _with_fields(errors: list[dict[str, str]]) -> HttpResponse:
    named = ", ".join(dict.fromkeys(error["field"] for error in errors))
    return problems.response(422, f"Correct {named} and send it again.", errors=errors)


def _field(location: tuple[str | int, ...]) -> str:
    """Ninja says ("body", name of the parameter, field, index); callers know the field and the index."""
    return ".".join(str(part) for part in location[2:]) or "body"
