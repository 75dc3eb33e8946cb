"""Dates and times in templates: values are JSON, so they come as ISO 8601 text."""

import datetime
from collections.abc import Callable
from typing import Any

from django.template import defaultfilters
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_time

from notifications.sealing import MASK
from notifications.templating.bounds import Unfit

_READERS: tuple[Callable[[str], Any], ...] = (parse_datetime, parse_date, parse_time)


def date(value: Any, arg: str | None = None) -> Any:
    """``{{ due|date:"j F Y" }}``. What has a time zone is shown in the installation's."""
    found = _read(value, "date")
    return found if found == MASK else str(defaultfilters.date(found, arg))


def time(value: Any, arg: str | None = None) -> Any:
    found = _read(value, "time")
    return found if found == MASK else str(defaultfilters.time(found, arg))


def _read(value: Any, name: str) -> Any:
    """Raises Unfit: Django's own filters would leave a hole in the sentence."""
    # A secret one is shown masked.
    if value in (None, "", MASK) or isinstance(value, datetime.date | datetime.time):
        return value
    found = _parsed(value) if isinstance(value, str) else None
    if found is None:
        raise Unfit(f'{name} needs a date or time in ISO 8601, such as "2026-11-27T09:00:00Z"')
    aware = isinstance(found, datetime.datetime) and timezone.is_aware(found)
    return timezone.localtime(found) if aware else found


def _parsed(text: str) -> Any:
    for read in _READERS:
        try:
            if (found := read(text)) is not None:
                return found
        except ValueError:
            # Such as the 31st of February.
            return None
    return None
