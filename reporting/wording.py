"""How reports say things: numbers, shares and times as people read them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

NOTHING = "\N{EN DASH}"


def moment(when: datetime) -> str:
    """Such as “9 Nov 2026, 14:05”, in the project's time zone."""
    local = timezone.localtime(when, timezone.get_default_timezone())
    return f"{local.day} {local:%b %Y, %H:%M}"


def number(value: int) -> str:
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def share(rate: float | None) -> str:
    """A percentage that never rounds something to nothing, or almost all to all."""
    if rate is None:
        return NOTHING
    if 0 < rate < 0.001:
        return "<0.1%"
    if 0.999 < rate < 1:
        return ">99.9%"
    return f"{rate * 100:.1f}".removesuffix(".0") + "%"


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
    return _two_digits(seconds / 86400, "d")


def micro(microseconds: int | None) -> str:
    return time(None if microseconds is None else timedelta(microseconds=microseconds))


def task(name: str) -> str:
    return name or "(no name recorded)"


def listed(items: Sequence[str]) -> str:
    """“a”, “a and b”, “a, b and c”."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def _two_digits(value: float, unit: str) -> str:
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
