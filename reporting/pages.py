"""The public pages behind the links in reports: what somebody is subscribed to, and a report to read."""

from collections.abc import Callable
from functools import partial, wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import translation
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from reporting import downloads, forms, links
from reporting.documents.document import Document
from reporting.downloads import NotKept
from reporting.forms.shape import Footer
from reporting.links import BadLink
from reporting.runs.tables import ReportEdition
from reporting.subscribing import choosing, objections
from reporting.subscribing.tables import Subscription
from reporting.subscribing.words import lines, title
from routing.addresses import masked
from routing.console import public_pages
from routing.console.public_pages import Page

LARGEST = 2_000
"""Bytes of a form."""
DEEDS: dict[str, Callable[[Subscription], bool]] = {
    "pause": choosing.pause,
    "resume": choosing.resume,
    "end": choosing.end,
    "take_up": choosing.take_up,
    "want": lambda one: objections.take_back(one.email),
    **{f"speak-{code}": partial(choosing.speak, code) for code, _name in settings.LANGUAGES},
}
# A report has its styles within it.
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


def _page(page: Page) -> Callable[..., HttpResponseBase]:
    @public_pages.behind_a_link
    @wraps(page)
    def opened(request: HttpRequest, token: str) -> HttpResponseBase:
        try:
            return page(request, token)
        except BadLink:
            return _problem(request, 404)

    return opened


@_page
def subscriptions(request: HttpRequest, token: str) -> HttpResponse:
    """All that the person is subscribed to. A look changes nothing, since scanners follow links. Safe to call again."""
    mine = _subscription(token)
    if request.method != "POST":
        return _shown(request, mine)
    found = {one.pk: one for one in choosing.of_same_person(mine)}
    one, deed = _asked(request, found, mine)
    if one is None or deed not in DEEDS:
        return _problem(request, 400)
    DEEDS[deed](one)
    return _shown(request, mine, said=_said(deed, one))


def _shown(request: HttpRequest, mine: Subscription, *, said: str = "") -> HttpResponse:
    objection = objections.against(mine.email)
    context = {
        "lines": lines(choosing.of_same_person(mine).order_by("report"), objection=objection),
        "masked": masked(mine.email),
        "objection": objection,
        "want": f"want:{mine.pk}",
        "languages": [(f"speak-{code}:{mine.pk}", name, code) for code, name in settings.LANGUAGES],
        "language": Subscription.objects.values_list("language", flat=True).get(pk=mine.pk),
        "said": said,
    }
    return render(request, "reporting/subscriptions.html", context)


@_page
def report(request: HttpRequest, token: str) -> HttpResponseBase:
    """What it says by now; with ``?form=``, a file of it as it is kept."""
    edition = ReportEdition.objects.filter(pk=links.read_page(token)).first()
    if edition is None or request.method == "POST":
        raise BadLink
    if name := request.GET.get("form"):
        return _file(request, edition, name)
    form = forms.named("html")
    with translation.override(edition.language):
        files = downloads.offered(edition)
    footer = Footer(files=tuple((title, f"?{urlencode({'form': name})}") for name, title in files))
    page = form.render(Document.from_json(edition.document), footer=footer)
    answer = HttpResponse(page, content_type=form.content_type)
    answer["Content-Security-Policy"] = _REPORT_POLICY
    return answer


def _file(request: HttpRequest, edition: ReportEdition, name: str) -> HttpResponseBase:
    try:
        return downloads.file(edition, name)
    except NotKept:
        return _problem(request, 410)


def _subscription(token: str) -> Subscription:
    """Raises BadLink."""
    found = Subscription.objects.filter(pk=links.read_subscription(token)).first()
    if found is None:
        raise BadLink
    return found


def _asked(request: HttpRequest, found: dict[int, Subscription], mine: Subscription) -> tuple[Subscription | None, str]:
    """Which subscription, and what to do; of a mail reader's one click (RFC 8058), the link's own is ended."""
    if not public_pages.fits(request, largest=LARGEST):
        return None, ""
    if request.POST.get("List-Unsubscribe", "").casefold() == "one-click":
        return mine, "end"
    deed, _colon, key = request.POST.get("do", "").partition(":")
    return (found.get(int(key)) if key.isdecimal() else None), deed


def _said(deed: str, one: Subscription) -> str:
    if deed in ("resume", "take_up", "want") and objections.against(one.email):
        # It comes no more for that; the page says why.
        return ""
    if deed.startswith("speak-"):
        spoken = dict(settings.LANGUAGES)[deed.removeprefix("speak-")]
        return _("Your reports come in this language from the next one on: %(language)s.") % {"language": spoken}
    words = {
        "want": _("You get reports again: those that are active here, from the next one on."),
        "pause": _("“%(title)s” is paused."),
        "resume": _("You get “%(title)s” again, from the next one on."),
        "end": _("You are unsubscribed from “%(title)s”. One that is on its way at this moment may still arrive."),
        "take_up": _("You are subscribed to “%(title)s” again, from the next one on."),
    }
    return words[deed] % {"title": title(one)}


def _problem(request: HttpRequest, status: int) -> HttpResponse:
    """The same for all that is wrong with a link: it tells nothing about anybody."""
    said = {
        400: _("That could not be understood, and nothing was changed. Go back and use the buttons on the page."),
        410: _("This report is not kept as such a file. Its page has a link to each that there is."),
        404: _(
            "This link does not work, or its time is over. Open it from the newest report that you have, or copy all "
            "of it. Links to a report's page last for 90 days."
        ),
    }
    return render(request, "reporting/link_problem.html", {"said": said[status]}, status=status)
