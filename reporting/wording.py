"""How reports say things: numbers, shares and times as people read them, in the language that is spoken."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from routing.console.number_words import grouped

NOTHING = "\N{EN DASH}"


def moment(when: datetime) -> str:
    """Such as “9 Nov 2026, 14:05”, in the project's time zone."""
    return date_format(timezone.localtime(when, timezone.get_default_timezone()), "DATETIME_FORMAT")


def number(value: float, *, places: int = 0) -> str:
    return grouped(value, places=places)


def tasks(value: int) -> str:
    return ngettext("%(count)s task", "%(count)s tasks", value) % {"count": number(value)}


def more(left: int) -> str:
    """What of a list is not shown; empty where nothing is left."""
    return _("… and %(count)s more") % {"count": number(left)} if left > 0 else ""


def failed(value: int) -> str:
    return ngettext("%(failed)s failed", "%(failed)s failed", value) % {"failed": number(value)}


def failed_in(domain: str, value: int) -> str:
    return _("%(failed)s in %(domain)s") % {"failed": number(value), "domain": domain}


def joined(clauses: Sequence[str]) -> str:
    """Into one sentence, but for its full stop."""
    return pgettext("between two clauses", "; ").join(clauses)


def share(rate: float | None) -> str:
    """A percentage that never rounds something to nothing, or almost all to all."""
    if rate is None:
        return NOTHING
    if 0 < rate < 0.001:
        return f"<{percent(0.1, places=1)}"
    if 0.999 < rate < 1:
        return f">{percent(99.9, places=1)}"
    return percent(rate * 100, places=0 if f"{rate * 100:.1f}".endswith(".0") else 1)


def percent(value: float, *, places: int = 0, sign: str = "") -> str:
    return _("%(value)s%%") % {"value": f"{sign}{number(value, places=places)}"}


def change(now: float, before: float) -> str:
    """Such as “+12%”."""
    grown = round((now / before - 1) * 100)
    return percent(grown, sign="+" if grown >= 0 else "")


def shortened(text: str, longest: int) -> str:
    """On one line, and no longer than that."""
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def time(length: timedelta | None) -> str:
    """Two or three digits and a unit, so that a column of them stays narrow: ``85 ms``, ``4.2 s``, ``14 min``."""
    if length is None:
        return NOTHING
    seconds = length.total_seconds()
    if seconds < 0.9995:
        return "<1 ms" if 0 < seconds < 0.001 else f"{seconds * 1000:.0f} ms"
    for size, unit, most in ((1, "s", 59.5), (60, "min", 59.5), (3600, "h", 23.5)):
        if seconds < size * most:
            return _two_digits(seconds / size, unit)
    return _two_digits(seconds / 86400, pgettext("days", "d"))


def micro(microseconds: int | None) -> str:
    return time(None if microseconds is None else timedelta(microseconds=microseconds))


def task(name: str) -> str:
    return name or _("(no name recorded)")


def listed(items: Sequence[str]) -> str:
    """“a”, “a and b”, “a, b and c”."""
    if len(items) < 2:
        return "".join(items)
    return _("%(some)s and %(last)s") % {"some": ", ".join(items[:-1]), "last": items[-1]}


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _two_digits(value: float, unit: str) -> str:
    return f"{number(value, places=1 if value < 9.95 else 0)} {unit}"
