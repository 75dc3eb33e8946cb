"""The times a caller may ask for: those that either database can count from its clock, whatever the caller gives.

Anything else would be an error of the database, which spoils the transaction, or a row that nobody can read.
"""

from datetime import datetime, timedelta
from math import nan

from django.utils import timezone

from routing.refusals import NaiveTime, UnusableTime

FARTHEST = timedelta(days=36_525)


def due(countdown: object, eta: object) -> float | datetime | None:
    if eta:
        return _moment("eta", eta, "an aware datetime or ISO text, at most 100 years away; for a delay, countdown=")
    if countdown is None:
        return None
    # At once; an earlier time would put it before those that have been waiting.
    return max(0.0, _seconds("countdown", countdown, "seconds or a timedelta, at most 100 years"))


def expiry(expires: object) -> float | datetime | None:
    if expires is None:
        return None
    cure = "seconds, a timedelta, an aware datetime or ISO text, at most 100 years away"
    of_point = _moment if isinstance(expires, datetime | str) else _seconds
    return of_point("expires", expires, cure)


def period(unique_for: object) -> float | None:
    if unique_for is None:
        return None
    cure = "seconds or a timedelta, from 0 to 100 years"
    seconds = _seconds("unique_for", unique_for, cure)
    if seconds < 0:
        raise UnusableTime("unique_for", unique_for, cure)
    return seconds


def _seconds(option: str, value: object, cure: str) -> float:
    try:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        seconds = nan
    if isinstance(value, str | bytes | bool) or not abs(seconds) <= FARTHEST.total_seconds():
        raise UnusableTime(option, value, cure)
    return seconds


def _moment(option: str, value: object, cure: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        raise UnusableTime(option, value, cure)
    if timezone.is_naive(moment):
        raise NaiveTime(value)
    if abs(moment - timezone.now()) > FARTHEST:
        raise UnusableTime(option, value, cure)
    return moment
