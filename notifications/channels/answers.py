"""What a server's answer to one command means: for this message, for its recipient, and for when to come back."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from django.utils import timezone

from notifications.channels.shape import Answer
from notifications.consent import blame
from notifications.tables import Attempt

MAX_WORDS = 1000
SOONEST, LATEST = timedelta(seconds=1), timedelta(hours=1)
"""When a server asks to be left alone for less or longer than this, this is what it gets."""

CLOSING = 421

_WAIT = re.compile(
    r"\b(?:in|for|after|within|wait)\s+(\d{1,5})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hours?)\b", re.IGNORECASE
)
_WAIT_BY_CLOCK = re.compile(r"\bin\s+(\d\d):(\d\d):(\d\d)\b", re.IGNORECASE)
_UNIT = {"s": 1, "m": 60, "h": 3600}


def read(code: int, text: bytes | str, *, to: str = "", about_recipient: bool = False) -> Answer:
    """``to``: what it answers; ``about_recipient``: to RCPT, where a final no may mean that there is nobody."""
    said = f"{code} {words(text)}".strip()
    if code < 300:
        return Answer(Attempt.Outcome.ACCEPTED, said, code)
    shown = f"refused {to}: {said}" if to else said
    if code < 500:
        return Answer(Attempt.Outcome.TEMPORARY, shown, code, retry_after=wait(said), is_for_all=code == CLOSING)
    blames = about_recipient and blame.blames_address(code, said)
    return Answer(Attempt.Outcome.PERMANENT, shown, code, blames_address=blames)


def words(text: bytes | str) -> str:
    """In one line that can be stored and shown, whatever the server sent."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(_decoded(text).split()))[:MAX_WORDS]


def wait(said: str) -> timedelta | None:
    """When it asks to be tried again, as greylisting servers say: ``try again in 300 seconds``."""
    if found := _WAIT_BY_CLOCK.search(said):
        hours, minutes, seconds = map(int, found.groups())
        return reasonable(timedelta(hours=hours, minutes=minutes, seconds=seconds))
    if found := _WAIT.search(said):
        return reasonable(timedelta(seconds=int(found[1]) * _UNIT[found[2][0].lower()]))
    return None


def retry_after(header: str) -> timedelta | None:
    """What HTTP's ``Retry-After`` says: seconds, or a date (RFC 9110, 10.2.3)."""
    given = header.strip()
    if given.isascii() and given.isdecimal():
        return reasonable(timedelta(seconds=min(int(given[:9]), 10**6)))
    try:
        at: datetime = parsedate_to_datetime(given)
    except (ValueError, TypeError):
        return None
    return reasonable((at if at.tzinfo else at.replace(tzinfo=UTC)) - timezone.now())


def reasonable(asked: timedelta) -> timedelta:
    return min(max(asked, SOONEST), LATEST)


def _decoded(text: bytes | str) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
