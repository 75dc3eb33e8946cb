"""Metrics in Prometheus' text format: what health and the start page tell, as figures.

All of them are the installation's, not this process's: whichever web process is asked tells the same.
"""

import hmac
import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from routing.console import metric_families
from routing.console.metric_families import Family

_FORWARDED = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@require_safe
@cache_control(no_store=True)
def metrics(request: HttpRequest) -> HttpResponse:
    """With the token in ``TASKYARD_METRICS_TOKEN``; where there is none, for this machine alone. Else 401 or 403."""
    token = settings.TASKYARD_METRICS_TOKEN
    if token and not _shows(request, token):
        return _refusal(
            401, "Send the token in TASKYARD_METRICS_TOKEN, in the header “Authorization: Bearer …”.", challenge=True
        )
    if not token and not _is_local(request):
        return _refusal(
            403, "Only programs on this machine may read this. For others, set TASKYARD_METRICS_TOKEN and send it."
        )
    # Not the library's own: that one would tell of this process alone.
    registry = CollectorRegistry()
    registry.register(_Families())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Families(Collector):
    def collect(self) -> Iterator[Family]:
        return metric_families.collect()


def _shows(request: HttpRequest, token: str) -> bool:
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(shown.strip().encode(errors="replace"), token.encode())
    return scheme.lower() == "bearer" and same


def _is_local(request: HttpRequest) -> bool:
    """A proxy on this machine asks from here, too, on behalf of anybody: it gives itself away, or SITE_URL does."""
    if urlsplit(settings.SITE_URL).hostname not in _LOCAL_NAMES or any(name in request.META for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        # A socket in the file system has no address.
        return False


def _refusal(status: int, sentence: str, *, challenge: bool = False) -> HttpResponse:
    headers = {"WWW-Authenticate": "Bearer"} if challenge else None
    return HttpResponse(f"{sentence}\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)
