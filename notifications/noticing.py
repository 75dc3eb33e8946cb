"""Deliveries that wait for somebody to decide must be noticed: the start page, status and probe tell of them."""

from collections.abc import Iterator

from django.utils.translation import ngettext

from notifications import deciding
from routing.watching import Told

MOST = 1_000
"""More are told as more than that."""


def told() -> Iterator[Told]:
    """One look at an index that holds only what is neither pending nor sent."""
    count = deciding.undecided()[: MOST + 1].count()
    if not count:
        return
    numbered = {"count": f"{count:,}" if count <= MOST else f"{MOST:,} and more"}
    public = ngettext(
        "%(count)s delivery may have been sent, and somebody has to decide.",
        "%(count)s deliveries may have been sent, and somebody has to decide.",
        count,
    )
    cure = "In the admin: Deliveries, with the filter “undecided”. Or: manage.py deliveries decide"
    yield Told("undecided deliveries", f"{public % numbered} {cure}", public % numbered)
