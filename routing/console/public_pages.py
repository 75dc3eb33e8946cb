"""Public pages behind links in mails: they need no login, no cookie and no script.

The link itself is the permission, so there is nothing that a forged request could add, and no CSRF token. Their
templates extend public/page.html.
"""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
Page = Callable[[HttpRequest, str], HttpResponseBase]


def behind_a_link(page: Page) -> Callable[..., HttpResponseBase]:
    """``page`` is given what the link holds."""

    @csrf_exempt
    @require_http_methods(["GET", "HEAD", "POST"])
    @wraps(page)
    def opened(request: HttpRequest, token: str) -> HttpResponseBase:
        answer = page(request, token)
        add_never_cache_headers(answer)
        answer.headers.setdefault("Content-Security-Policy", POLICY)
        answer["X-Robots-Tag"] = "noindex, nofollow"
        # The address of this page must not be told to another one.
        answer["Referrer-Policy"] = "no-referrer"
        return answer

    return opened


def fits(request: HttpRequest, *, largest: int) -> bool:
    """Whether its body has at most so many bytes, and says so."""
    length = str(request.META.get("CONTENT_LENGTH") or 0)
    return length.isdecimal() and int(length) <= largest
