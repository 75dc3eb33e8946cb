"""The public pages behind the links in messages: to unsubscribe, and to choose."""

from collections.abc import Callable, Sequence
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from notifications import categories
from notifications.categories import Category, UnknownCategory
from notifications.consent import choices, links, suppression_list
from notifications.consent.choices import Choice
from notifications.consent.links import Reader
from routing.console import public_pages

LARGEST = 20_000
"""Bytes of a form."""
ONE_CLICK = ("List-Unsubscribe", "One-Click")
"""What mail readers send by themselves (RFC 8058), and our button, too."""

Page = Callable[[HttpRequest, Reader], HttpResponse]


def _of_reader(page: Page) -> Callable[..., HttpResponseBase]:
    @public_pages.behind_a_link
    @wraps(page)
    def opened(request: HttpRequest, token: str) -> HttpResponse:
        if not public_pages.fits(request, largest=LARGEST):
            return _problem(request, 400)
        try:
            return page(request, links.read(token))
        except links.BadLink:
            return _problem(request, 404)

    return opened


@_of_reader
def unsubscribe(request: HttpRequest, reader: Reader) -> HttpResponse:
    """A look changes nothing, since scanners follow links. Safe to call again."""
    if request.method != "POST":
        return _one_category(request, reader, done="")
    name, value = ONE_CLICK
    if request.POST.get(name, "").casefold() == value.casefold():
        choices.choose(reader.address_key, {reader.category: False}, source="one-click")
        return _one_category(request, reader, done="unsubscribed")
    if request.POST.get("undo"):
        choices.choose(reader.address_key, {reader.category: True}, source="page")
        return _one_category(request, reader, done="subscribed")
    return _problem(request, 400)


@_of_reader
def preferences(request: HttpRequest, reader: Reader) -> HttpResponse:
    """All optional categories; saved as a whole. Safe to call again."""
    before = choices.of(reader.address_key)
    if request.method != "POST":
        return _all_categories(request, reader, before)
    if not {"save", "none"} & request.POST.keys():
        return _problem(request, 400)
    names = [] if "none" in request.POST else request.POST.getlist("wanted")
    after = choices.only(reader.address_key, names, source="page")
    return _all_categories(request, reader, after, before=before)


def _one_category(request: HttpRequest, reader: Reader, *, done: str) -> HttpResponse:
    category = _category(reader)
    context = {
        "reader": reader,
        "title": category.title if category else reader.category,
        "is_required": category is not None and category.required,
        "is_wanted": category is None or not choices.is_unwanted(reader.address_key, category),
        "done": done,
        "one_click": ONE_CLICK,
    }
    return render(request, "notifications/unsubscribe.html", context)


def _all_categories(
    request: HttpRequest, reader: Reader, now: Sequence[Choice], *, before: Sequence[Choice] | None = None
) -> HttpResponse:
    context = {
        "reader": reader,
        "choices": now,
        "required": list(choices.required()),
        "is_suppressed": bool(suppression_list.reasons(reader.address_key, channel=reader.channel)),
        "is_saved": before is not None,
        "has_changed": before is not None and list(before) != list(now),
        "wanted": [str(choice.category.title) for choice in now if choice.wanted],
        "before": [choice.category.name for choice in before or () if choice.wanted],
    }
    return render(request, "notifications/preferences.html", context)


def _category(reader: Reader) -> Category | None:
    """None if it is gone."""
    try:
        return categories.get(reader.category)
    except UnknownCategory:
        return None


def _problem(request: HttpRequest, status: int) -> HttpResponse:
    """The same for all that is wrong with a link: it tells nothing about any address."""
    said = {
        400: _("That could not be understood, and nothing was changed. Go back and use the buttons on the page."),
        404: _(
            "This link does not work. Part of it may be missing: open it from the e-mail itself, or copy all of it."
        ),
    }
    return render(request, "notifications/link_problem.html", {"said": said[status]}, status=status)
