"""The public pages behind the links in reports: they need no login, no cookie and no script.

The link itself is the permission, so there is nothing that a forged request could add, and no CSRF token.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from reporting import forms, links, reports
from reporting.documents.document import Document
from reporting.links import BadLink
from reporting.runs.tables import ReportEdition
from reporting.subscribing import choosing
from reporting.subscribing.tables import Subscription
from reporting.subscribing.words import lines

LARGEST = 2_000
"""Bytes of a form."""
DEEDS: dict[str, Callable[[Subscription], bool]] = {
    "pause": choosing.pause,
    "resume": choosing.resume,
    "end": choosing.end,
    "take_up": choosing.take_up,
}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A report has its styles within it.
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
Page = Callable[[HttpRequest, str], HttpResponse]


def _behind_a_link(page: Page) -> Callable[..., HttpResponse]:
    @csrf_exempt
    @require_http_methods(["GET", "HEAD", "POST"])
    @wraps(page)
    def opened(request: HttpRequest, token: str) -> HttpResponse:
        try:
            answer = page(request, token)
        except BadLink:
            answer = _problem(request, 404)
        add_never_cache_headers(answer)
        answer.headers.setdefault("Content-Security-Policy", _POLICY)
        answer["X-Robots-Tag"] = "noindex, nofollow"
        # The address of this page must not be told to another one.
        answer["Referrer-Policy"] = "no-referrer"
        return answer

    return opened


@_behind_a_link
def subscriptions(request: HttpRequest, token: str) -> HttpResponse:
    """All that the person is subscribed to. A look changes nothing, since scanners follow links. Safe to call again."""
    mine = _subscription(token)
    found = {one.pk: one for one in choosing.of_same_person(mine).order_by("report")}
    said = ""
    if request.method == "POST":
        one, deed = _asked(request, found, mine)
        if one is None or deed not in DEEDS:
            return _problem(request, 400)
        DEEDS[deed](one)
        said = f"{deed}:{one.pk}"
        found = {row.pk: row for row in choosing.of_same_person(mine).order_by("report")}
    context = {"lines": lines(found.values()), "masked": _masked(mine.email), "said": _said(said, found)}
    return render(request, "reporting/subscriptions.html", context)


@_behind_a_link
def report(request: HttpRequest, token: str) -> HttpResponse:
    """What it says by now."""
    edition = ReportEdition.objects.filter(pk=links.read_page(token)).first()
    if edition is None or request.method == "POST":
        raise BadLink
    form = forms.named("html")
    answer = HttpResponse(form.render(Document.from_json(edition.document)), content_type=form.content_type)
    answer["Content-Security-Policy"] = _REPORT_POLICY
    return answer


def _subscription(token: str) -> Subscription:
    """Raises BadLink."""
    found = Subscription.objects.filter(pk=links.read_subscription(token)).first()
    if found is None:
        raise BadLink
    return found


def _asked(request: HttpRequest, found: dict[int, Subscription], mine: Subscription) -> tuple[Subscription | None, str]:
    """Which subscription, and what to do; of a mail reader's one click (RFC 8058), the link's own is ended."""
    length = str(request.META.get("CONTENT_LENGTH") or 0)
    if not length.isdecimal() or int(length) > LARGEST:
        return None, ""
    if request.POST.get("List-Unsubscribe", "").casefold() == "one-click":
        return mine, "end"
    deed, _colon, key = request.POST.get("do", "").partition(":")
    return (found.get(int(key)) if key.isdecimal() else None), deed


def _said(said: str, found: dict[int, Subscription]) -> str:
    deed, _colon, key = said.partition(":")
    if not deed or int(key) not in found:
        return ""
    of = reports.reports().get(found[int(key)].report)
    title: Any = of.title if of else found[int(key)].report
    words = {
        "pause": _("“%(title)s” is paused."),
        "resume": _("You get “%(title)s” again, from the next one on."),
        "end": _("You are unsubscribed from “%(title)s”. One that is on its way at this moment may still arrive."),
        "take_up": _("You are subscribed to “%(title)s” again, from the next one on."),
    }
    return words[deed] % {"title": title}


def _masked(address: str) -> str:
    """Known to its owner, and to nobody whom the link was forwarded to."""
    name, _at, domain = address.rpartition("@")
    return f"{name[:1]}…{name[-1:] if len(name) > 2 else ''}@{domain}"


def _problem(request: HttpRequest, status: int) -> HttpResponse:
    """The same for all that is wrong with a link: it tells nothing about anybody."""
    said = {
        400: _("That could not be understood, and nothing was changed. Go back and use the buttons on the page."),
        404: _(
            "This link does not work, or its time is over. Open it from the newest report that you have, or copy all "
            "of it. Links to a report's page last for 90 days."
        ),
    }
    return render(request, "reporting/link_problem.html", {"said": said[status]}, status=status)
