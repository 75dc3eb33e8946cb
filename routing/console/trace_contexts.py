"""What a request enqueues is in the trace of whoever sent it, as its header ``traceparent`` names it."""

from collections.abc import Callable

from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse

from routing import tracing


class TraceContextMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if tracing.active is None:
            raise MiddlewareNotUsed
        self._get_response = get_response
        self._spans = tracing.active

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with self._spans.within({name.lower(): value for name, value in request.headers.items()}):
            return self._get_response(request)
