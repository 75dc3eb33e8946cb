"""What a browser may run and load on our pages: scripts from our own files, none that stands in a page."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_COMMON = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
STRICT = f"{_COMMON}; script-src 'self'"
# The admin's theme has Alpine, which makes functions from the attributes of its own templates. Nothing that is shown
# becomes such an attribute, and an inline script or handler runs no more than elsewhere.
ADMIN = f"{_COMMON}; script-src 'self' 'unsafe-eval'"


class ContentPolicyMiddleware:
    """Adds ours to whatever a page says itself: browsers keep to both."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self._get_response(request)
        ours = ADMIN if request.path.startswith("/admin/") else STRICT
        own = answer.get("Content-Security-Policy")
        answer["Content-Security-Policy"] = f"{own}, {ours}" if own else ours
        return answer
