"""Deliveries that wait for somebody to decide must be noticed: the start page, status and probe tell of them."""

from collections.abc import Iterator

from django.utils.functional import lazy
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from notifications import deciding
from routing.console.number_words import grouped
from routing.watching import Told

MOST = 1_000
"""More are told as more than that."""


def told() -> Iterator[Told]:
    """One look at an index that holds only what is neither pending nor sent."""
    count = deciding.undecided()[: MOST + 1].count()
    if not count:
        return
    # It is read later, by people of any language.
    yield Told("undecided deliveries", lazy(_sentence, str)(count), lazy(_public, str)(count))


def _sentence(count: int) -> str:
    cure = _("In the admin: Deliveries, with the filter “undecided”. Or: manage.py deliveries decide")
    return f"{_public(count)} {cure}"


def _public(count: int) -> str:
    if count > MOST:
        more = _("%(count)s and more deliveries may have been sent, and somebody has to decide.")
        return more % {"count": grouped(MOST)}
    public = ngettext(
        "%(count)s delivery may have been sent, and somebody has to decide.",
        "%(count)s deliveries may have been sent, and somebody has to decide.",
        count,
    )
    return public % {"count": grouped(count)}
