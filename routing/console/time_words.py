"""Lengths of time in words short enough for a table."""

from datetime import timedelta

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def short(length: timedelta) -> str:
    """At most two units: ``85 ms``, ``1.2 s``, ``3 min 12 s``, ``4 d 3 h``. A negative length counts as none."""
    seconds = max(length.total_seconds(), 0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else "1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
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
            return f"{seconds // size} {name} {rest} {smaller_name}" if rest else f"{seconds // size} {name}"
    return f"{seconds} s"
