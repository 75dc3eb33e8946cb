"""Lengths of time in words short enough for a table."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import pgettext

from routing.console.number_words import grouped

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def since(moment: datetime) -> str:
    """Such as “09 Nov 2026 14:05”, in the site's time zone."""
    return date_format(timezone.localtime(moment), "d M Y H:i")


def short(length: timedelta) -> str:
    """At most two units: ``85 ms``, ``1.2 s``, ``3 min 12 s``, ``4 d 3 h``. A negative length counts as none."""
    seconds = max(length.total_seconds(), 0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else "1 s"
    if seconds < 9.95:
        return f"{grouped(seconds, places=1)} s"
    return _two_units(round(seconds))


def exact(length: timedelta) -> str:
    return f"{length.total_seconds():.6f} s"


def _two_units(seconds: int) -> str:
    for size, name, smaller, smaller_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if seconds >= size:
            rest = seconds % size // smaller
            name = pgettext("days", "d") if size == _DAY else name
            return f"{seconds // size} {name} {rest} {smaller_name}" if rest else f"{seconds // size} {name}"
    return f"{seconds} s"
