"""When the database is away, nobody can be signed in: in place of any page the console says that, and the cure."""

from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from routing.console import cures, handbook, survey
from routing.ledger import database

RETRY_AFTER = 10
"""Seconds."""


class DatabaseAwayMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Of a statement that failed for another reason, Django tells as it always does."""
        if not request.path.startswith("/admin/") or not isinstance(error, OperationalError | InterfaceError):
            return None
        if database.is_usable():
            return None
        context = {
            "sentence": survey.sentence_of(error),
            "cure": handbook.part("operations", cures.PARTS["database"]),
            "seconds": RETRY_AFTER,
        }
        return HttpResponse(
            render_to_string("console/away.html", context), status=503, headers={"Retry-After": str(RETRY_AFTER)}
        )
