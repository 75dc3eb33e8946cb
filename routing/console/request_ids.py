"""Each HTTP request has an id: the proxy's ``X-Request-ID`` or a new one. Logs, tasks and the answer carry it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from routing import correlation

HEADER = "X-Request-ID"


class RequestIdMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = correlation.begin_request(request.headers.get(HEADER))
        answer = self._get_response(request)
        answer[HEADER] = request_id
        return answer
