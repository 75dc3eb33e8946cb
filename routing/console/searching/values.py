"""Times and lengths as people type them: ``2d``, ``1h30m``, ``2026-11-12T14:00``, ``today``, ``>5s``."""

import re
from datetime import MAXYEAR, MINYEAR, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from routing.console.searching.terms import Mistake

UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
LONGEST = timedelta(days=36_500)
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|min|s|m|h|d|w)", re.ASCII)
_BOUND = re.compile(r"(>=|<=|>|<)(.*)", re.DOTALL)


def length(word: str, value: str) -> timedelta | Mistake:
    """``90s``, ``1.5h``, ``1h30m``: up to a hundred years."""
    if not _is_length(value):
        problem = _("“%(value)s” is no length of time.") % {"value": value}
        return Mistake(word, problem, _("Write a number and s, m, h, d or w: 90s, 1h30m, 2d"))
    found = timedelta()
    for number, unit in _PART.findall(value):
        # Compared as seconds: a timedelta itself may be too small for it.
        if float(number) * UNITS[unit].total_seconds() > LONGEST.total_seconds():
            return _too_long(word, value)
        found += float(number) * UNITS[unit]
    return found if found <= LONGEST else _too_long(word, value)


def bound(word: str, value: str) -> tuple[str, timedelta] | Mistake:
    """``>5s`` as the sign and the length."""
    match = _BOUND.fullmatch(value)
    if match is None:
        name = word.partition(":")[0]
        cure = _("Write %(examples)s") % {"examples": _either(f"{name}:>5s", f"{name}:<200ms")}
        return Mistake(word, _("It does not say longer or shorter."), cure)
    sign, rest = match.groups()
    found = length(word, rest)
    return found if isinstance(found, Mistake) else (sign, found)


def moment(word: str, value: str, *, now: datetime) -> datetime | Mistake:
    """So long ago, or a day or time of the site's time zone, whose day begins at midnight."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if value.lower() == "today":
        return timezone.make_aware(midnight)
    if value.lower() == "yesterday":
        return timezone.make_aware(midnight - timedelta(days=1))
    if re.match(r"[0-9]{4}-", value, re.ASCII):
        return _calendar(word, value)
    if not _is_length(value):
        cure = _("Write how long ago, or a day, or a time: 2d, 90m, today, 2026-11-12, 2026-11-12T14:00")
        return Mistake(word, _("“%(value)s” is no time.") % {"value": value}, cure)
    ago = length(word, value)
    return ago if isinstance(ago, Mistake) else now - ago


def _is_length(value: str) -> bool:
    return bool(value) and not _PART.sub("", value)


def _calendar(word: str, value: str) -> datetime | Mistake:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return Mistake(word, _("“%(value)s” is not in the calendar.") % {"value": value}, _a_day())
    # Midnight of the first and last days that Python knows is beyond them in some time zones.
    if not MINYEAR < found.year < MAXYEAR:
        return Mistake(word, _("The year %(year)s is out of reach.") % {"year": found.year}, _a_day())
    return found if found.tzinfo else timezone.make_aware(found)


def _too_long(word: str, value: str) -> Mistake:
    problem = _("“%(value)s” is more than a hundred years.") % {"value": value}
    return Mistake(word, problem, _("Write a shorter time: 2d, 52w"))


def _a_day() -> str:
    return _("Write %(examples)s") % {"examples": _either("2026-11-12", "2026-11-12T14:00")}


def _either(one: str, other: str) -> str:
    return _("%(one)s or %(other)s") % {"one": one, "other": other}
